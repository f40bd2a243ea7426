#include "penstock/base/digest.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

DigestKey CountingKey() {
  DigestKey key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  return key;
}

std::string Hex(const Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace

// vectors_sip128 of vectors.h in the authors' reference implementation (github.com/veorq/SipHash): the key is
// 00 01 02 .. 0f, message N is 00 01 02 .. N-1.
TEST_CASE("digest: the results are those of the reference implementation") {
  const struct {
    std::size_t length;
    std::string_view digest;
  } rows[] = {
      {0, "a3817f04ba25a8e66df67214c7550293"},  {1, "da87c1d86b99af44347659119b22fc45"},
      {2, "8177228da4a45dc7fca38bdef60affe4"},  {3, "9c70b60c5267a94e5f33b6b02985ed51"},
      {4, "f88164c12d9c8faf7d0f6e7c7bcd5579"},  {5, "1368875980776f8854527a07690e9627"},
      {6, "14eeca338b208613485ea0308fd7a15e"},  {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
      {8, "3b62a9ba6258f5610f83e264f31497b4"},  {9, "264499060ad9baabc47f8b02bb6d71ed"},
      {15, "5493e99933b0a8117e08ec0f97cfc3d9"}, {16, "6ee2a4ca67b054bbfd3315bf85230577"},
      {63, "5150d1772f50834a503e069a973fbd7c"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.length);
    std::vector<std::uint8_t> message;
    for (std::size_t i = 0; i < row.length; ++i) message.push_back(static_cast<std::uint8_t>(i));
    CHECK(Hex(SipHash(CountingKey(), message)) == row.digest);
  }
}

TEST_CASE("digest: the boundary between two fields makes a difference") {
  const auto of = [](auto... fields) {
    KeyedDigest digest(CountingKey());
    (digest.Add(fields), ...);
    return digest.Finish();
  };
  const std::set<Digest> all = {of("ab", "c"), of("a", "bc"), of("abc"), of("abc", ""),
                                of("", "abc"), of("", ""),    of("")};
  CHECK(all.size() == 7);
  CHECK(of("ab", "c") == of("ab", "c"));

  DigestKey other = CountingKey();
  other[15] ^= 1;
  KeyedDigest digest(other);
  CHECK_FALSE(digest.Add("ab").Add("c").Finish() == of("ab", "c"));
}

TEST_CASE("digest: the comparison in constant time finds each difference") {
  const std::string text = "open-sesame";
  CHECK(SameInConstantTime(text, std::string(text)));
  CHECK(SameInConstantTime("", ""));
  CHECK_FALSE(SameInConstantTime(text, "open-sesam"));
  CHECK_FALSE(SameInConstantTime(text, ""));
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {1, 0x80}) {
      std::string other = text;
      other[i] = static_cast<char>(other[i] ^ bit);
      CHECK_FALSE(SameInConstantTime(text, other));
    }
  }
}

}  // namespace penstock

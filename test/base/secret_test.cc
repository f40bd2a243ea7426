#include "penstock/base/secret.h"

#include <string.h>

#include <concepts>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

namespace penstock {
namespace {

template <class T>
concept Printable = requires(std::ostream& stream, const T& value) {
  stream << value;
};
template <class T>
concept Comparable = requires(const T& one, const T& other) {
  one == other;
};

static_assert(Printable<std::string_view> && Comparable<std::string_view>);
static_assert(!Printable<Secret> && !Printable<SecretView>);
static_assert(!Comparable<Secret> && !Comparable<SecretView>);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string_view> && !std::is_convertible_v<SecretView, std::string_view>);
static_assert(!std::is_convertible_v<std::string_view, Secret> && !std::is_convertible_v<std::string_view, SecretView>);

}  // namespace

TEST_CASE("secret: a secret holds its text, NUL-terminated") {
  const Secret secret(std::string_view("open-sesame\0!", 13));
  CHECK(secret.size() == 13);
  CHECK(secret.Reveal() == std::string_view("open-sesame\0!", 13));
  CHECK(secret.c_str()[13] == '\0');
  CHECK(Secret(secret.view()).Reveal() == secret.Reveal());

  const Secret none;
  CHECK(none.empty());
  CHECK(none.Reveal().empty());
  CHECK(none.c_str()[0] == '\0');
  CHECK(Secret(std::string_view()).empty());
}

TEST_CASE("secret: a move leaves nothing behind") {
  Secret first(std::string_view("open-sesame"));
  const char* const bytes = first.c_str();
  Secret second(std::move(first));
  CHECK(second.c_str() == bytes);
  CHECK(first.empty());  // NOLINT(bugprone-use-after-move)
  Secret third(std::string_view("another open-sesame"));
  third = std::move(second);
  CHECK(third.Reveal() == "open-sesame");
  CHECK(second.empty());  // NOLINT(bugprone-use-after-move)
  Secret& same = third;
  third = std::move(same);
  CHECK(third.Reveal() == "open-sesame");
}

TEST_CASE("secret: a secret is filled in place, and Shorten overwrites the rest") {
  Secret secret = Secret::WithRoom(32);
  CHECK(secret.room().size() == 32);
  ::memcpy(secret.room().data(), "open-sesame and more", 20);
  const char* const bytes = secret.c_str();
  secret.Shorten(11);
  CHECK(secret.Reveal() == "open-sesame");
  for (int i = 11; i < 32; ++i) CHECK(bytes[i] == '\0');
  CHECK(secret.c_str()[11] == '\0');
  secret.Clear();
  CHECK(secret.empty());
}

TEST_CASE("secret: Wipe leaves zeros") {
  std::string text = "open-sesame";
  Wipe(std::span<char>(text).first(4));
  CHECK(text == std::string(4, '\0') + "-sesame");
  std::uint8_t bytes[] = {1, 2, 3};
  Wipe(std::span<std::uint8_t>(bytes));
  CHECK(bytes[0] + bytes[1] + bytes[2] == 0);
  Wipe(std::span<std::uint8_t>());
}

}  // namespace penstock

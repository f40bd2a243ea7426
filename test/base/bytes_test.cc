#include "penstock/base/bytes.h"

#include <array>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

const std::uint8_t kBytes[] = {0x01, 0x02, 0xff, 0xfe, 0x05};

TEST_CASE("bytes: a reader decodes fields in network order") {
  ByteReader reader(kBytes);
  CHECK(reader.U8() == 0x01);
  CHECK(reader.U16() == 0x02ff);
  const auto rest = reader.Take(2);
  REQUIRE(rest.size() == 2);
  CHECK(rest[0] == 0xfe);
  CHECK(rest[1] == 0x05);
  CHECK(reader.ok());
  CHECK(reader.position() == sizeof kBytes);
}

TEST_CASE("bytes: taking zero bytes succeeds, also at the end") {
  ByteReader reader({kBytes, 1});
  reader.U8();
  CHECK(reader.Take(0).empty());
  CHECK(reader.ok());
}

TEST_CASE("bytes: after a failure a reader returns nothing") {
  ByteReader reader({kBytes, 3});
  CHECK(reader.U8() == 0x01);
  CHECK(reader.Take(3).empty());  // one too many
  CHECK_FALSE(reader.ok());
  CHECK(reader.U8() == 0);  // though a byte is there
  CHECK(reader.U16() == 0);
  CHECK(reader.Take(0).empty());
  CHECK_FALSE(reader.ok());
  CHECK(reader.position() == 1);  // what failed took nothing
}

TEST_CASE("bytes: a length near the maximum of its type does not overflow") {
  ByteReader reader(kBytes);
  reader.U16();
  CHECK(reader.Take(static_cast<std::size_t>(-1)).empty());
  CHECK_FALSE(reader.ok());
}

TEST_CASE("bytes: a writer encodes fields in network order") {
  std::array<std::uint8_t, 5> room{};
  ByteWriter writer(room);
  writer.U8(0x05);
  writer.U16(0x0438);
  const std::uint8_t two[] = {0xaa, 0xbb};
  writer.Put(two);
  CHECK(writer.ok());
  const auto written = writer.written();
  CHECK(std::vector<int>(written.begin(), written.end()) == std::vector<int>{0x05, 0x04, 0x38, 0xaa, 0xbb});
}

TEST_CASE("bytes: after a failure a writer has written nothing") {
  std::array<std::uint8_t, 3> room{9, 9, 9};
  ByteWriter writer({room.data(), 2});
  writer.U8(1);
  writer.U16(2);  // one too many
  CHECK_FALSE(writer.ok());
  writer.U8(3);  // though there would be room
  CHECK_FALSE(writer.ok());
  CHECK(writer.written().empty());
  CHECK(room[2] == 9);  // and nothing beyond the room was touched
}

}  // namespace
}  // namespace penstock

// Cursors over bytes in network order: ByteReader decodes a message, ByteWriter encodes one.
// Values on the stack of one thread. They borrow the bytes, which must outlive them.
// Invariant: failure is sticky. After one read or write beyond the end all further ones do nothing, so a decoder reads
// all fields and checks ok() once.
// Deliberately not here: the layout of any message.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  // The next byte; 0 after a failure.
  std::uint8_t U8() {
    const auto taken = Take(1);
    return taken.empty() ? std::uint8_t{0} : taken[0];
  }

  // The next two bytes as a number; 0 after a failure.
  std::uint16_t U16() {
    const auto taken = Take(2);
    return taken.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(taken[0] << 8 | taken[1]);
  }

  // The next `count` bytes; an empty span and failure if fewer are left.
  std::span<const std::uint8_t> Take(std::size_t count) {
    if (!ok_ || bytes_.size() - position_ < count) {
      ok_ = false;
      return {};
    }
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }

  bool ok() const { return ok_; }
  std::size_t position() const { return position_; }  // bytes read so far

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

class ByteWriter {
 public:
  explicit ByteWriter(std::span<std::uint8_t> room) : room_(room) {}  // writes to `room`, from its start

  void U8(std::uint8_t value) { Put({&value, 1}); }

  void U16(std::uint16_t value) {
    const std::uint8_t bytes[] = {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
    Put(bytes);
  }

  void Put(std::span<const std::uint8_t> bytes) {
    if (!ok_ || room_.size() - size_ < bytes.size()) {
      ok_ = false;
      return;
    }
    std::copy(bytes.begin(), bytes.end(), room_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += bytes.size();
  }

  bool ok() const { return ok_; }

  // What was written; empty after a failure.
  std::span<const std::uint8_t> written() const { return room_.first(ok_ ? size_ : 0); }

 private:
  std::span<std::uint8_t> room_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace penstock

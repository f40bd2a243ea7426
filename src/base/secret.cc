#include "penstock/base/secret.h"

#include <string.h>

#include <cassert>
#include <utility>

namespace penstock {

void Wipe(std::span<std::uint8_t> bytes) {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
}

void Wipe(std::span<char> text) {
  if (!text.empty()) ::explicit_bzero(text.data(), text.size());
}

Secret::Secret(std::string_view text) : Secret(WithRoom(text.size())) { text.copy(bytes_.get(), text.size()); }

Secret Secret::WithRoom(std::size_t size) {
  Secret secret;
  secret.bytes_ = std::make_unique<char[]>(size + 1);
  secret.size_ = size;
  return secret;
}

Secret::Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    Clear();
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Secret::Shorten(std::size_t size) {
  assert(size <= size_);
  Wipe(room().subspan(size));
  size_ = size;
}

void Secret::Clear() {
  Shorten(0);
  bytes_.reset();
}

}  // namespace penstock

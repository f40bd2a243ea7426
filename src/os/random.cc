#include "penstock/os/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstddef>
#include <system_error>

namespace penstock {
namespace {

// Up to 256 bytes are returned whole or not at all (getrandom(2)).
void Fill(void* room, std::size_t bytes) {
  while (::getrandom(room, bytes, 0) != static_cast<ssize_t>(bytes)) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "getrandom");
  }
}

}  // namespace

DigestKey RandomKey() {
  DigestKey key;
  Fill(key.data(), key.size());
  return key;
}

std::uint64_t RandomBits() {
  std::uint64_t bits = 0;
  Fill(&bits, sizeof bits);
  return bits;
}

}  // namespace penstock

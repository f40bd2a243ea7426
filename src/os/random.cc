#include "penstock/os/random.h"

#include <sys/random.h>

#include <cerrno>
#include <system_error>

namespace penstock {

DigestKey RandomKey() {
  DigestKey key;
  // Up to 256 bytes come at once, or not at all (getrandom(2)).
  while (::getrandom(key.data(), key.size(), 0) != static_cast<ssize_t>(key.size())) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  return key;
}

}  // namespace penstock

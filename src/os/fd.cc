#include "penstock/os/fd.h"

#include <unistd.h>

namespace penstock {

void Fd::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace penstock

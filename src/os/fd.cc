#include "penstock/os/fd.h"

#include <fcntl.h>
#include <unistd.h>

namespace penstock {

Fd Fd::Duplicate() const { return Fd(::fcntl(fd_, F_DUPFD_CLOEXEC, 0)); }

void Fd::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

}  // namespace penstock

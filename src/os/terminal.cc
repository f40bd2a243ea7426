#include "penstock/os/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace penstock {

std::size_t OutputColumns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace penstock

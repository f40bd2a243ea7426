// What an intruder could do who has taken over a worker of a running gateway.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include <doctest/doctest.h>

#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/held_thread.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("sandbox");

int errors[4];  // of the acts of the worker; 0: one succeeded

void TryAll() {
  const auto error = [](long returned) { return returned == -1 ? errno : 0; };
  errors[0] = error(::open("/etc/passwd", O_RDONLY));
  errors[1] = error(::socket(AF_UNIX, SOCK_STREAM, 0));
  errors[2] = error(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
  errors[3] = error(reinterpret_cast<long>(::mmap(nullptr, 1, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
}

TEST_CASE("sandbox: a worker that was taken over opens nothing and starts nothing, and its gateway serves on" *
          doctest::skip(IsSanitized())) {
  const TestGateway gateway;
  const TargetListener target;
  const auto session = gateway.Open(target);
  CallIn("worker", TryAll);
  CHECK(errors[0] == ENOSYS);
  CHECK(errors[1] == EPERM);
  CHECK(errors[2] == ENOSYS);
  CHECK(errors[3] == EPERM);
  PingPong(session, 1);
}

TEST_CASE("sandbox: a worker that calls what only an intruder calls ends the process" * doctest::skip(IsSanitized())) {
  const auto ends = [](void (*act)()) {
    const pid_t child = ::fork();
    if (child == 0) {
      const TestGateway gateway;
      CallIn("worker", act);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  CHECK(ends([] { ::execl("/bin/true", "true", nullptr); }) == SIGSYS);
  CHECK(ends([] { ::syscall(SYS_ptrace, 0, 0, 0, 0); }) == SIGSYS);
  CHECK(ends([] { ::syscall(SYS_setuid, 0); }) == SIGSYS);
  CHECK(ends([] { ::syscall(SYS_unshare, 0x10000000); }) == SIGSYS);
  CHECK(ends([] { static_cast<void>(::getppid()); }) == 0);  // refused, and nothing worse
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test

#include "penstock/os/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include <doctest/doctest.h>

#include "penstock/os/thread.h"
#include "test/support/process.h"
#include "test/support/temp_directory.h"

namespace penstock {
namespace {

// The exit status of a child in which `confine` and then `act` are called: what `act` returns. 1000 and the signal if
// one ended it.
int InChild(const std::function<void()>& confine, const std::function<int()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    confine();
    ::_exit(act());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

constexpr int kKilled = 1000 + SIGSYS;

void BecomeWorker() {
  ConfineNewThreads(SandboxMode::kOn);
  ConfineThread(ThreadKind::kWorker);
}

// 0 or errno.
int Result(long returned) { return returned >= 0 ? 0 : errno; }

struct Act {
  const char* name;
  int (*act)();
  int result;
};

// Of a worker. The first ones show that the checks can succeed.
constexpr Act kActs[] = {
    {"TCP socket", [] { return Result(::socket(AF_INET6, SOCK_STREAM, 0)); }, 0},
    {"netlink socket", [] { return Result(::socket(AF_NETLINK, SOCK_RAW, 0)); }, 0},
    {"pipe",
     [] {
       int ends[2];
       return Result(::pipe2(ends, O_CLOEXEC));
     },
     0},
    {"memory",
     [] {
       return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno
                                                                                                              : 0;
     },
     0},
    {"duplicate", [] { return Result(::fcntl(2, F_DUPFD_CLOEXEC, 0)); }, 0},
    {"open", [] { return Result(::open("/dev/null", O_RDONLY)); }, ENOSYS},
    {"create", [] { return Result(::open("/tmp/made", O_CREAT | O_WRONLY, 0600)); }, ENOSYS},
    {"openat2", [] { return Result(::syscall(SYS_openat2, AT_FDCWD, "/", nullptr, 0)); }, ENOSYS},
    {"stat",
     [] {
       struct stat status;
       return Result(::stat("/", &status));
     },
     ENOSYS},
    {"unlink", [] { return Result(::unlink("/nothing")); }, ENOSYS},
    {"memory file", [] { return Result(::memfd_create("code", 0)); }, ENOSYS},
    {"Unix socket", [] { return Result(::socket(AF_UNIX, SOCK_STREAM, 0)); }, EPERM},
    {"packet socket", [] { return Result(::socket(AF_PACKET, SOCK_RAW, 0)); }, EPERM},
    {"raw socket", [] { return Result(::socket(AF_INET, SOCK_RAW, 1)); }, EPERM},
    {"audit socket", [] { return Result(::socket(AF_NETLINK, SOCK_RAW, 9)); }, EPERM},
    {"code in memory",
     [] {
       return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno
                                                                                                             : 0;
     },
     EPERM},
    {"code from data",
     [] {
       static char page[8192];
       const auto at = reinterpret_cast<std::uintptr_t>(page + 4095) & ~std::uintptr_t{4095};
       return Result(::mprotect(reinterpret_cast<void*>(at), 4096, PROT_READ | PROT_EXEC));
     },
     EPERM},
    {"fork", [] { return Result(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }, ENOSYS},
    {"thread", [] { return Result(::syscall(SYS_clone3, nullptr, 0)); }, ENOSYS},
    {"signal to another process", [] { return Result(::kill(::getppid(), 0)); }, ENOSYS},
    {"signal to another's thread", [] { return Result(::syscall(SYS_tgkill, 1, 1, 0)); }, EPERM},
    {"owner of a descriptor's signals", [] { return Result(::fcntl(2, F_SETOWN, 1)); }, EPERM},
    {"typing for the user", [] { return Result(::ioctl(0, TIOCSTI, "x")); }, EPERM},
    {"limits",
     [] {
       rlimit limit{};
       return Result(::prlimit(0, RLIMIT_NOFILE, nullptr, &limit));
     },
     ENOSYS},
    {"dumpable", [] { return Result(::prctl(PR_SET_DUMPABLE, 1)); }, ENOSYS},
    {"another filter", [] { return Result(::syscall(SYS_seccomp, 0, 0, nullptr)); }, ENOSYS},
    {"execve", [] { return Result(::execl("/bin/true", "true", nullptr)); }, kKilled},
    {"execveat", [] { return Result(::syscall(SYS_execveat, AT_FDCWD, "/bin/true", nullptr, nullptr, 0)); }, kKilled},
    {"ptrace", [] { return Result(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }, kKilled},
    {"memory of another process", [] { return Result(::syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0)); },
     kKilled},
    {"setuid", [] { return Result(::syscall(SYS_setuid, 0)); }, kKilled},
    {"setgroups", [] { return Result(::syscall(SYS_setgroups, 0, nullptr)); }, kKilled},
    {"namespace", [] { return Result(::syscall(SYS_unshare, 0x10000000)); }, kKilled},
    {"mount", [] { return Result(::syscall(SYS_mount, "", "/", "", 0, nullptr)); }, kKilled},
    {"bpf", [] { return Result(::syscall(SYS_bpf, 0, nullptr, 0)); }, kKilled},
    {"io_uring", [] { return Result(::syscall(SYS_io_uring_setup, 1, nullptr)); }, kKilled},
    {"kernel module", [] { return Result(::syscall(SYS_init_module, nullptr, 0, "")); }, kKilled},
};

// Sanitizers have libraries and threads that make calls of their own.
TEST_CASE("sandbox: a worker can do what it needs, and nothing of what an intruder would try" *
          doctest::skip(test::IsSanitized())) {
  for (const Act& act : kActs) {
    CAPTURE(act.name);
    CHECK(InChild(BecomeWorker, act.act) == act.result);
  }
}

TEST_CASE("sandbox: without it, the same acts have other results" * doctest::skip(test::IsSanitized())) {
  const auto free = [] {
    ConfineNewThreads(SandboxMode::kOff);
    ConfineThread(ThreadKind::kWorker);
  };
  for (const Act& act : kActs) {
    if (act.result != ENOSYS && act.result != kKilled) continue;
    CAPTURE(act.name);
    CHECK(InChild(free, act.act) != act.result);
  }
}

TEST_CASE("sandbox: a process opens only what is beneath its folders, and writes only where it may" *
          doctest::skip(test::IsSanitized())) {
  const test::TempDirectory inside;
  const test::TempDirectory state;
  const test::TempDirectory outside;
  inside.Write("file", "text");
  const std::string secret = outside.Write("file", "text");
  REQUIRE(::symlink(secret.c_str(), inside.PathOf("link").c_str()) == 0);
  const auto confine = [&] {
    ConfineNewThreads(SandboxMode::kOn);
    const SandboxParts parts =
        ConfineProcess({.files = {inside.PathOf("file")}, .read = {}, .write = {state.PathOf("")}});
    if (!parts.seccomp || parts.landlock == 0) ::_exit(99);
  };
  const auto open = [](const std::string& path, int flags) {
    return [path, flags] { return Result(::open(path.c_str(), flags, 0600)); };
  };
  CHECK(InChild(confine, open(inside.PathOf("file"), O_RDONLY)) == 0);
  inside.Write("file", "another");  // renamed into its place
  CHECK(InChild(confine, open(inside.PathOf("file"), O_RDONLY)) == 0);
  CHECK(InChild(confine, open(inside.PathOf("file"), O_WRONLY)) == EACCES);
  CHECK(InChild(confine, open(inside.PathOf("new"), O_WRONLY | O_CREAT)) == EACCES);
  CHECK(InChild(confine, open(secret, O_RDONLY)) == EACCES);
  CHECK(InChild(confine, open(inside.PathOf("link"), O_RDONLY)) == EACCES);
  CHECK(InChild(confine, open("/etc/passwd", O_RDONLY)) == EACCES);
  CHECK(InChild(confine, open(state.PathOf("new"), O_WRONLY | O_CREAT)) == 0);
  CHECK(InChild(confine,
                [&] { return Result(::rename(state.PathOf("new").c_str(), state.PathOf("renamed").c_str())); }) == 0);
  CHECK(InChild(confine, [&] { return Result(::unlink(state.PathOf("renamed").c_str())); }) == 0);
  CHECK(InChild(confine, [] { return Result(::execl("/bin/true", "true", nullptr)); }) == kKilled);
  CHECK(InChild(confine, [] { return Result(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }) == EPERM);
  CHECK(InChild(confine, [] { return Result(::kill(::getppid(), 0)); }) == ENOSYS);
}

TEST_CASE("sandbox: a confined process starts threads, and its workers are confined further" *
          doctest::skip(test::IsSanitized())) {
  const auto confine = [] {
    ConfineNewThreads(SandboxMode::kOn);
    if (!ConfineProcess({.files = {}, .read = {"/proc/self"}, .write = {}}).seccomp) ::_exit(99);
  };
  const auto opens = [](ThreadKind kind) {
    return [kind] {
      int result = 0;
      Thread thread(
          "opener", [&result] { result = Result(::open("/proc/self/stat", O_RDONLY)); }, kind);
      thread.Join();
      return result;
    };
  };
  CHECK(InChild(confine, opens(ThreadKind::kOther)) == 0);
  CHECK(InChild(confine, opens(ThreadKind::kWorker)) == ENOSYS);
}

TEST_CASE("sandbox: a report names the call and the thread once, and the call succeeds" *
          doctest::skip(test::IsSanitized())) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const Fd reader(ends[0]);
  const Fd writer(ends[1]);
  const auto confine = [&] {
    ConfineNewThreads(SandboxMode::kReport, [&](int call, const std::string& thread) {
      const std::string line = thread + ' ' + std::to_string(call) + '\n';
      if (::write(writer.get(), line.data(), line.size()) < 0) ::_exit(98);
    });
  };
  const auto act = [&] {
    int results = 0;
    Thread thread(
        "worker",
        [&results] {
          for (int i = 0; i < 3; ++i) results += Result(::open("/dev/null", O_RDONLY | O_CLOEXEC));
          results += Result(::socket(AF_UNIX, SOCK_STREAM, 0));
        },
        ThreadKind::kWorker);
    thread.Join();
    const std::string wanted = "worker " + std::to_string(SYS_openat) + "\nworker " + std::to_string(SYS_socket) + '\n';
    std::string got;
    while (got.size() < wanted.size()) {
      pollfd waiting{reader.get(), POLLIN, 0};
      char room[128];
      if (::poll(&waiting, 1, 20'000) != 1) return 97;
      got.append(room, static_cast<std::size_t>(::read(reader.get(), room, sizeof room)));
    }
    return got == wanted ? results : 96;
  };
  CHECK(InChild(confine, act) == 0);
}

}  // namespace
}  // namespace penstock

#include "penstock/os/sandbox.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "penstock/os/fd.h"
#include "penstock/os/poller.h"

namespace penstock {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;  // there is no filter
#endif

// Of the flags of clone(2), those with which glibc starts a thread.
constexpr std::uint32_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                                       CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

// What an argument of a call must be. Of an int, the kernel reads the lower half of the register.
struct Condition {
  enum class Kind { kOneOf, kWithoutBits, kNull };
  unsigned argument;
  Kind kind;
  std::vector<std::uint32_t> values{};
};

struct Rule {
  int call;
  std::vector<Condition> conditions{};
};

Condition OneOf(unsigned argument, std::initializer_list<std::uint32_t> values) {
  return {argument, Condition::Kind::kOneOf, values};
}
Condition WithoutBits(unsigned argument, std::uint32_t bits) {
  return {argument, Condition::Kind::kWithoutBits, {bits}};
}
Condition Null(unsigned argument) { return {argument, Condition::Kind::kNull}; }

// What every thread needs. The most frequent calls of workers come first.
std::vector<Rule> RulesOfAll() {
  return {
  // Waiting, and moving bytes and datagrams.
#ifdef SYS_epoll_wait
      {SYS_epoll_wait},
#endif
      {SYS_epoll_pwait},
      {SYS_epoll_pwait2},
      {SYS_recvfrom},
      {SYS_sendto},
      {SYS_splice},
      {SYS_recvmsg},
      {SYS_sendmsg},
      {SYS_recvmmsg},
      {SYS_sendmmsg},
      {SYS_read},
      {SYS_write},
      {SYS_readv},
      {SYS_writev},
      {SYS_sched_yield},
      // Sockets, pipes and their options. Netlink is for routes and the host's addresses.
      {SYS_accept4},
      {SYS_epoll_ctl},
      {SYS_close},
      {SYS_setsockopt},
      {SYS_getsockopt},
      {SYS_connect},
      {SYS_bind},
      {SYS_listen},
      {SYS_shutdown},
      {SYS_getsockname},
      {SYS_getpeername},
      {SYS_pipe2},
      {SYS_fcntl, {OneOf(1, {F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETPIPE_SZ, F_GETPIPE_SZ})}},
      {SYS_ioctl, {OneOf(1, {SIOCOUTQ, SIOCINQ, SIOCGIFINDEX})}},
      // Memory, which is never code.
      {SYS_brk},
      {SYS_mmap, {WithoutBits(2, PROT_EXEC)}},
      {SYS_mprotect, {WithoutBits(2, PROT_EXEC)}},
      {SYS_munmap},
      {SYS_mremap},
      {SYS_madvise},
      // Threads, locks, signals of this process, time, and random numbers.
      {SYS_futex},
      {SYS_clock_gettime},
      {SYS_clock_nanosleep},
      {SYS_getrandom},
      {SYS_rt_sigprocmask},
      {SYS_rt_sigreturn},
      {SYS_sigaltstack},
      {SYS_restart_syscall},
      {SYS_rseq},
      {SYS_set_robust_list},
      {SYS_sched_setaffinity, {OneOf(0, {0})}},
      {SYS_sched_getaffinity},
      {SYS_getpid},
      {SYS_gettid},
      {SYS_tgkill, {OneOf(0, {static_cast<std::uint32_t>(::getpid())})}},
      {SYS_exit},
      {SYS_exit_group},
  };
}

// What only threads need that read files, answer the operator, or start threads. Landlock says which files.
std::vector<Rule> RulesOfOthers() {
  return {
      {SYS_openat},
      {SYS_newfstatat},
      {SYS_fstat},
      {SYS_statx},
      {SYS_faccessat},
      {SYS_faccessat2},
      {SYS_readlinkat},
      {SYS_getdents64},
      {SYS_lseek},
      {SYS_pread64},
      {SYS_pwrite64},
      {SYS_renameat},
      {SYS_renameat2},
      {SYS_unlinkat},
      {SYS_linkat},
      {SYS_fsync},
      {SYS_fdatasync},
      {SYS_flock},
      {SYS_fchmod},
      {SYS_fchmodat},
      {SYS_getcwd},
#ifdef __x86_64__  // without their "at"
      {SYS_open},
      {SYS_stat},
      {SYS_lstat},
      {SYS_access},
      {SYS_readlink},
      {SYS_rename},
      {SYS_unlink},
      {SYS_link},
      {SYS_chmod},
      {SYS_poll},
#endif
      {SYS_ppoll},
      {SYS_eventfd2},
      {SYS_epoll_create1},
      {SYS_signalfd4},
      {SYS_timerfd_create},
      {SYS_timerfd_settime},
      {SYS_clone, {OneOf(0, {kThreadFlags})}},
      {SYS_prctl, {OneOf(0, {PR_SET_NAME, PR_SET_NO_NEW_PRIVS})}},
      {SYS_seccomp},  // a thread may confine itself further
      {SYS_rt_sigaction},
      {SYS_getrusage},
      {SYS_prlimit64, {Null(2)}},
      {SYS_sysinfo},
      {SYS_uname},
      {SYS_getuid},
      {SYS_geteuid},
      {SYS_getgid},
      {SYS_getegid},
  };
}

// Which families a thread may open sockets of. No protocol needs a number here, so raw sockets have none either.
Rule SocketRule(ThreadKind kind) {
  if (kind == ThreadKind::kWorker) return {SYS_socket, {OneOf(0, {AF_INET, AF_INET6, AF_NETLINK}), OneOf(2, {0})}};
  return {SYS_socket, {OneOf(0, {AF_INET, AF_INET6, AF_NETLINK, AF_UNIX}), OneOf(2, {0})}};
}

// No part of the gateway or of libc makes these calls: who does is an intruder.
constexpr std::array kDeadly = {
    SYS_execve,         SYS_execveat,    SYS_ptrace,       SYS_process_vm_readv, SYS_process_vm_writev,
    SYS_pidfd_getfd,    SYS_mount,       SYS_umount2,      SYS_pivot_root,       SYS_chroot,
    SYS_unshare,        SYS_setns,       SYS_bpf,          SYS_perf_event_open,  SYS_userfaultfd,
    SYS_io_uring_setup, SYS_init_module, SYS_finit_module, SYS_kexec_load,       SYS_setuid,
    SYS_setgid,         SYS_setreuid,    SYS_setregid,     SYS_setresuid,        SYS_setresgid,
    SYS_setgroups,      SYS_capset,      SYS_add_key,      SYS_keyctl,           SYS_request_key,
};

// A filter is a program that gets the number of a call and its arguments, and returns what becomes of it (seccomp(2)).
class Filter {
 public:
  // `refused` is what becomes of a call that is not allowed; without it, that depends on the call.
  Filter(ThreadKind kind, std::optional<std::uint32_t> refused) : refused_(refused) {
    Load(offsetof(seccomp_data, arch));
    Jump(BPF_JEQ, kArchitecture, 1, 0);
    Return(SECCOMP_RET_KILL_PROCESS);
    Load(offsetof(seccomp_data, nr));
    for (const Rule& rule : RulesOfAll()) Add(rule);
    Add(SocketRule(kind));
    if (kind == ThreadKind::kOther) {
      for (const Rule& rule : RulesOfOthers()) Add(rule);
    }
    for (const auto call : kDeadly) {
      Jump(BPF_JEQ, static_cast<std::uint32_t>(call), 0, 1);
      Return(refused_.value_or(SECCOMP_RET_KILL_PROCESS));
    }
    // Also of a call that this kernel has and libc tries first, such as clone3(2): libc then takes the older one.
    Return(refused_.value_or(SECCOMP_RET_ERRNO | ENOSYS));
  }

  // Returns the descriptor of a listener if `flags` ask for one, else 0; -1 on failure.
  int Install(unsigned flags) const {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    const sock_fprog whole{static_cast<std::uint16_t>(program_.size()), const_cast<sock_filter*>(program_.data())};
    // SPEC_ALLOW: older kernels would slow down every thread that has a filter, against attacks by code that the
    // attacker may choose, which a thread that maps no code does not run.
    return static_cast<int>(
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &whole));
  }

 private:
  void Load(std::size_t offset) {
    program_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  // Skips so many instructions if the comparison holds, or if it does not.
  void Jump(std::uint16_t comparison, std::uint32_t value, std::size_t if_true, std::size_t if_false) {
    program_.push_back(BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | comparison | BPF_K), value,
                                static_cast<std::uint8_t>(if_true), static_cast<std::uint8_t>(if_false)));
  }
  void Return(std::uint32_t action) { program_.push_back(BPF_STMT(BPF_RET | BPF_K, action)); }

  // What follows is for other calls.
  void Add(const Rule& rule) {
    const std::size_t head = program_.size();
    Jump(BPF_JEQ, static_cast<std::uint32_t>(rule.call), 0, 0);
    for (const Condition& condition : rule.conditions) Require(condition);
    Return(SECCOMP_RET_ALLOW);
    program_[head].jf = static_cast<std::uint8_t>(program_.size() - head - 1);
  }

  // Goes on if the condition holds, else refuses the call. Both architectures have the lower half first.
  void Require(const Condition& condition) {
    const std::size_t low = offsetof(seccomp_data, args) + condition.argument * sizeof(std::uint64_t);
    Load(low);
    switch (condition.kind) {
      case Condition::Kind::kOneOf:
        for (std::size_t i = 0; i < condition.values.size(); ++i) {
          Jump(BPF_JEQ, condition.values[i], condition.values.size() - i, 0);
        }
        break;
      case Condition::Kind::kWithoutBits:
        Jump(BPF_JSET, condition.values.front(), 0, 1);
        break;
      case Condition::Kind::kNull:
        Jump(BPF_JEQ, 0, 0, 2);
        Load(low + sizeof(std::uint32_t));
        Jump(BPF_JEQ, 0, 1, 0);
        break;
    }
    Return(refused_.value_or(SECCOMP_RET_ERRNO | EPERM));
  }

  const std::optional<std::uint32_t> refused_;
  std::vector<sock_filter> program_;
};

// Hears of calls that are not allowed, lets them happen, and tells each once. A thread that has no filter.
class Supervisor {
 public:
  explicit Supervisor(SandboxReport report) : report_(std::move(report)) {
    std::thread([this] { Run(); }).detach();  // until the process ends
  }

  void Hear(Fd listener) {
    {
      const std::lock_guard lock(mutex_);
      listeners_.push_back(std::move(listener));
    }
    news_.Raise();
  }

 private:
  void Run() {
    for (;;) {
      std::vector<pollfd> waiting{{news_.fd(), POLLIN, 0}};
      {
        const std::lock_guard lock(mutex_);
        for (const Fd& listener : listeners_) waiting.push_back({listener.get(), POLLIN, 0});
      }
      if (::poll(waiting.data(), waiting.size(), -1) <= 0) continue;
      if (waiting.front().revents != 0) news_.Clear();
      for (std::size_t i = 1; i < waiting.size(); ++i) {
        if ((waiting[i].revents & POLLIN) != 0) {
          Take(waiting[i].fd);
        } else if (waiting[i].revents != 0) {
          Forget(waiting[i].fd);
        }
      }
    }
  }

  // Lets the call happen before it tells: who made it may hold a lock that telling needs.
  void Take(int listener) {
    seccomp_notif call{};
    if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return;
    std::string thread;
    std::getline(std::ifstream("/proc/self/task/" + std::to_string(call.pid) + "/comm"), thread);
    seccomp_notif_resp answer{};
    answer.id = call.id;
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    if (told_.emplace(call.data.nr, thread).second) report_(call.data.nr, thread);
  }

  // All threads of the filter have ended.
  void Forget(int listener) {
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_, [listener](const Fd& each) { return each.get() == listener; });
  }

  const SandboxReport report_;
  std::set<std::pair<int, std::string>> told_;
  WakeUp news_;       // there is another listener
  std::mutex mutex_;  // guards the listeners
  std::vector<Fd> listeners_;
};

std::atomic<SandboxMode> g_mode{SandboxMode::kOff};
Supervisor* g_supervisor = nullptr;  // for kReport; never deleted: its thread runs until the process ends

// --- Landlock ---

// The rights of its first ABI, which all later ones have, too: all that landlock.h names before REFER.
constexpr std::uint64_t kFirstRights = (1ULL << 13) - 1;
constexpr std::uint64_t kRefer = 1ULL << 13;     // ABI 2
constexpr std::uint64_t kTruncate = 1ULL << 14;  // ABI 3
constexpr std::uint64_t kIoctlDev = 1ULL << 15;  // ABI 5
constexpr std::uint64_t kScopes = 3;             // ABI 6: abstract Unix sockets and signals of other processes

constexpr std::uint64_t kReadRights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriteRights = kReadRights | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                       LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE | kTruncate;

// As of ABI 6. Older kernels take a shorter one.
struct RulesetAttributes {
  std::uint64_t files;
  std::uint64_t ports;
  std::uint64_t scopes;
};

void Allow(int ruleset, const std::string& path, std::uint64_t rights) {
  const Fd opened(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!opened.valid()) return;  // what does not exist cannot be opened later either, unless its folder is named
  struct stat status {};
  if (::fstat(opened.get(), &status) != 0) return;
  if (!S_ISDIR(status.st_mode)) rights &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
  const landlock_path_beneath_attr beneath{rights, opened.get()};
  ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
}

// The folder of the file, and that of the one to which a symbolic link leads.
void AllowBeside(int ruleset, const std::string& file, std::uint64_t rights) {
  std::error_code ignored;
  for (const std::filesystem::path& path : {std::filesystem::path(file), std::filesystem::canonical(file, ignored)}) {
    if (!path.empty()) Allow(ruleset, path.has_parent_path() ? path.parent_path().string() : ".", rights);
  }
}

// Returns the ABI; 0 if the kernel has no Landlock.
int RestrictFiles(const SandboxFolders& folders) {
  const auto abi =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (abi < 1) return 0;
  const std::uint64_t known =
      kFirstRights | (abi >= 2 ? kRefer : 0) | (abi >= 3 ? kTruncate : 0) | (abi >= 5 ? kIoctlDev : 0);
  const RulesetAttributes attributes{known, 0, kScopes};
  const std::size_t size = abi >= 6 ? sizeof attributes : sizeof attributes.files;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 0;
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!ruleset.valid()) return 0;
  for (const std::string& file : folders.files) AllowBeside(ruleset.get(), file, kReadRights & known);
  for (const std::string& path : folders.read) Allow(ruleset.get(), path, kReadRights & known);
  for (const std::string& path : folders.write) Allow(ruleset.get(), path, kWriteRights & known);
  return ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0 ? abi : 0;
}

}  // namespace

void ConfineNewThreads(SandboxMode mode, SandboxReport report) {
  if (mode == SandboxMode::kReport && g_supervisor == nullptr) g_supervisor = new Supervisor(std::move(report));
  g_mode = mode;
}

SandboxParts ConfineProcess(const SandboxFolders& folders) {
  SandboxParts parts;
  parts.landlock = RestrictFiles(folders);
  parts.seccomp = kArchitecture != 0 && Filter(ThreadKind::kOther, {}).Install(0) == 0;
  if (!parts.seccomp) g_mode = SandboxMode::kOff;
  return parts;
}

void ConfineThread(ThreadKind kind) {
  switch (g_mode) {
    case SandboxMode::kOff:
      return;
    case SandboxMode::kOn:
      // The filter of the process holds for all others. It was installed, so this one can be.
      if (kind == ThreadKind::kWorker && Filter(kind, {}).Install(0) != 0) std::abort();
      return;
    case SandboxMode::kReport:
      // A thread that was started by a confined one has that one's filter and listener.
      Fd listener(Filter(kind, SECCOMP_RET_USER_NOTIF).Install(SECCOMP_FILTER_FLAG_NEW_LISTENER));
      if (listener.valid()) g_supervisor->Hear(std::move(listener));
      return;
  }
}

}  // namespace penstock

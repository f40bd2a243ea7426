// Rights that are given up are gone for the whole process, so each case does it in a child of its own.
#include "penstock/os/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>

#include <doctest/doctest.h>

namespace penstock {
namespace {

// The exit status of a child that runs `body`; -1 when it did not exit.
int InChild(const std::function<int()>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string NameOfThisUser() {
  const passwd* const entry = ::getpwuid(::getuid());
  return entry == nullptr ? "" : entry->pw_name;
}

const bool kIsRoot = ::getuid() == 0;

TEST_CASE("privileges: after the change to another user nothing of root is left" * doctest::skip(!kIsRoot)) {
  const int failed = InChild([] {
    if (BecomeUser("nobody")) return 1;
    const passwd* const nobody = ::getpwnam("nobody");
    uid_t uids[3];
    gid_t gids[3];
    if (::getresuid(&uids[0], &uids[1], &uids[2]) != 0 || ::getresgid(&gids[0], &gids[1], &gids[2]) != 0) return 2;
    for (const uid_t id : uids) {
      if (id != nobody->pw_uid) return 3;
    }
    for (const gid_t id : gids) {
      if (id != nobody->pw_gid) return 4;
    }
    gid_t groups[64];
    const int count = ::getgroups(64, groups);
    for (int i = 0; i < count; ++i) {
      if (groups[i] == 0) return 5;
    }
    return ::setuid(0) == 0 || ::seteuid(0) == 0 || ::setgid(0) == 0 ? 6 : 0;
  });
  CHECK(failed == 0);
}

TEST_CASE("privileges: the message about an unknown user has its name") {
  CHECK(BecomeUser("no-such-user-here") == "cannot run as no-such-user-here: there is no such user");
}

TEST_CASE("privileges: without the privileges of root the change of user fails" * doctest::skip(!kIsRoot)) {
  const int failed = InChild([] {
    if (BecomeUser("nobody")) return 1;
    if (BecomeUser("nobody")) return 2;  // which it is already
    return BecomeUser("daemon") == "cannot run as daemon: Operation not permitted; start as root" ? 0 : 3;
  });
  CHECK(failed == 0);
}

TEST_CASE("privileges: the current user needs no privileges" * doctest::skip(kIsRoot)) {
  const std::string name = NameOfThisUser();
  REQUIRE_FALSE(name.empty());
  CHECK_FALSE(BecomeUser(name));
}

TEST_CASE("privileges: capabilities from a service manager are dropped, also if the user does not change" *
          doctest::skip(!kIsRoot)) {
  const int failed = InChild([] {
    const passwd* const nobody = ::getpwnam("nobody");
    ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (::setresgid(nobody->pw_gid, nobody->pw_gid, nobody->pw_gid) != 0) return 1;
    if (::setresuid(nobody->pw_uid, nobody->pw_uid, nobody->pw_uid) != 0) return 2;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
    const std::uint32_t granted = 1U << CAP_NET_BIND_SERVICE;
    sets[0] = {granted, granted, granted};
    if (::syscall(SYS_capset, &header, sets) != 0) return 3;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) != 0) return 4;
    if (BecomeUser("nobody")) return 5;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0) != 0) return 6;
    if (::syscall(SYS_capget, &header, sets) != 0) return 7;
    return sets[0].effective == 0 && sets[0].permitted == 0 && sets[0].inheritable == 0 ? 0 : 8;
  });
  CHECK(failed == 0);
}

TEST_CASE("privileges: a crash leaves no core file unless dumps are allowed") {
  const int failed = InChild([] {
    rlimit limit{};
    AllowDumps(false);
    if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || ::getrlimit(RLIMIT_CORE, &limit) != 0) return 1;
    if (limit.rlim_cur != 0) return 2;
    const rlim_t most = limit.rlim_max;
    AllowDumps(true);
    if (::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1 || ::getrlimit(RLIMIT_CORE, &limit) != 0) return 3;
    return limit.rlim_cur == most ? 0 : 4;
  });
  CHECK(failed == 0);
}

TEST_CASE("privileges: execve(2) grants no privileges") {
  const int now = InChild([] {
    ForbidNewPrivileges();
    return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
  });
  CHECK(now == 1);
}

}  // namespace
}  // namespace penstock

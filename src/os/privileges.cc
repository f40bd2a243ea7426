#include "penstock/os/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace penstock {
namespace {

struct User {
  uid_t id;
  gid_t group;
};

// getpwnam_r(3). Returns its error; 0 and no user if there is no such name.
int FindUser(const std::string& name, std::optional<User>* user) {
  std::vector<char> room(16 * 1024);  // more than any line of passwd(5) takes
  passwd entry{};
  passwd* found = nullptr;
  const int error = ::getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  if (found != nullptr) *user = {found->pw_uid, found->pw_gid};
  return error;
}

bool Become(const std::string& name, const User& user) {
  const bool already = ::getuid() == user.id && ::geteuid() == user.id && ::getgid() == user.group;
  if (already && user.id != 0) return true;  // it keeps its supplementary groups
  return ::initgroups(name.c_str(), user.group) == 0 && ::setresgid(user.group, user.group, user.group) == 0 &&
         ::setresuid(user.id, user.id, user.id) == 0;
}

// Capabilities from a service manager (AmbientCapabilities=) survive if the user does not change.
bool DropCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  return ::syscall(SYS_capset, &header, none) == 0;  // drops the ambient ones as well (capabilities(7))
}

}  // namespace

std::optional<std::string> BecomeUser(const std::string& name) {
  std::optional<User> user;
  if (const int error = FindUser(name, &user); !user) {
    return "cannot run as " + name + ": " + (error == 0 ? "there is no such user" : std::strerror(error));
  }
  if (!Become(name, *user)) return "cannot run as " + name + ": " + std::strerror(errno) + "; start as root";
  if (user->id != 0 && !DropCapabilities()) {
    return "cannot run as " + name + ": capabilities stay: " + std::strerror(errno);
  }
  // The consequences of a call that succeeds without effect justify one more.
  if (user->id != 0 && ::setuid(0) == 0) return "cannot run as " + name + ": root's rights came back";
  return std::nullopt;
}

void AllowDumps(bool allowed) {
  ::prctl(PR_SET_DUMPABLE, allowed ? 1 : 0, 0, 0, 0);
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = allowed ? limit.rlim_max : 0;
  ::setrlimit(RLIMIT_CORE, &limit);
}

void ForbidNewPrivileges() { ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

}  // namespace penstock

#include "test/support/network.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include <doctest/doctest.h>

namespace penstock::test {

int InNetwork(const std::string& commands, const std::function<int()>& body) {
  const std::string all =
      "ip link set lo up && ip link add here type veth peer name there && ip link set here up && ip link set there up"
      " && ip address add 10.1.0.1/24 dev here && " +
      commands;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0 || std::system(all.c_str()) != 0) ::_exit(100);
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace penstock::test

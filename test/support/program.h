// The real program, as a process of its own on a free port of 127.0.0.1. It is gone when its object is.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "penstock/base/endpoint.h"
#include "test/support/gateway.h"

namespace penstock::test {

class Program {
 public:
  // Starts it with `options` and, unless a file among them says where to listen, `listen`; and waits until it listens.
  // The program is PENSTOCK in the environment, or the one that was built beside this test. `meanwhile` is called
  // before it is waited for.
  explicit Program(std::vector<std::string> options, const std::function<void(pid_t)>& meanwhile = {},
                   const std::vector<std::string>& listen = {"--listen", "127.0.0.1:0"});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const Endpoint& at() const { return at_; }
  std::string LogText() const { return log_file_.Text(); }
  bool WaitForLog(std::string_view text) const;

  void Signal(int signal) const;
  // The exit status once it has ended; 128 + the signal when one ended it.
  int Wait();

 private:
  LogFile log_file_;
  pid_t pid_ = -1;
  Endpoint at_;
};

}  // namespace penstock::test

// The program itself, as a process on a free port of 127.0.0.1. The destructor kills it.
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
  // Starts the program with `listen` and `options`, calls `meanwhile` with its process ID, and waits until the program
  // listens. `listen` is empty if a configuration file has the addresses. The program is PENSTOCK in the environment,
  // or the one that was built beside this test.
  explicit Program(std::vector<std::string> options, const std::function<void(pid_t)>& meanwhile = {},
                   const std::vector<std::string>& listen = {"--listen", "127.0.0.1:0"});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  const Endpoint& at() const { return at_; }
  std::string LogText() const { return log_file_.Text(); }
  bool WaitForLog(std::string_view text) const;

  void Signal(int signal) const;
  // Waits for the end and returns the exit status, or 128 + the number of the signal that killed the program.
  int Wait();

 private:
  LogFile log_file_;
  pid_t pid_ = -1;
  Endpoint at_;
};

}  // namespace penstock::test

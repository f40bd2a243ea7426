#include "test/support/program.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace penstock::test {
namespace {

std::string Path() {
  if (const char* const given = std::getenv("PENSTOCK")) return given;
  // The test is .../debug/test/gateway, the program .../debug/penstock or else .../release/penstock.
  const auto flavour = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  for (const auto& path : {flavour / "penstock", flavour.parent_path() / "release" / "penstock"}) {
    if (std::filesystem::exists(path)) return path.string();
  }
  throw std::runtime_error("there is no program to test beside " + flavour.string() + "; build it, or set PENSTOCK");
}

}  // namespace

Program::Program(std::vector<std::string> options, const std::function<void(pid_t)>& meanwhile,
                 const std::vector<std::string>& listen) {
  std::vector<std::string> words = {Path()};
  words.insert(words.end(), listen.begin(), listen.end());
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, log_file_.fd(), STDERR_FILENO);
  const int error = ::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + words[0]);

  if (meanwhile) meanwhile(pid_);
  const std::string key = "notice listen at=";
  std::string text;
  std::size_t found = std::string::npos;
  const bool listens = WaitUntil([&] {
    text = LogText();
    found = text.find(key);
    return found != std::string::npos && text.find('\n', found) != std::string::npos;
  });
  const auto at = listens
                      ? Endpoint::Parse(text.substr(found + key.size(), text.find('\n', found) - found - key.size()))
                      : std::nullopt;
  if (!at) {
    Signal(SIGKILL);
    Wait();
    throw std::runtime_error("the program does not listen: " + text);
  }
  at_ = *at;
}

Program::~Program() {
  if (pid_ < 0) return;
  Signal(SIGKILL);
  Wait();
}

bool Program::WaitForLog(std::string_view text) const {
  return WaitUntil([&] { return LogText().find(text) != std::string::npos; });
}

void Program::Signal(int signal) const { ::kill(pid_, signal); }

int Program::Wait() {
  int status = 0;
  if (!WaitUntil([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) {
    throw std::runtime_error("the program does not end: " + LogText());
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace penstock::test

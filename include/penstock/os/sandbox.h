// What the gateway takes from itself before it serves: most system calls (seccomp(2)), and all files but a few
// (landlock(7)). So little is left to an intruder.
// Process-wide: called by main while there is one thread, except for ConfineThread, which each Thread calls.
// Invariants, if both are there:
//   - A worker opens no file, starts no program and no thread, traces nobody, sends no signal to another process, maps
//     no memory as code, and changes neither user nor namespace, whatever it executes: nobody can remove a filter.
//   - Other threads open only what lies beneath the folders that ConfineProcess was given, and start no program either.
// Does not: keep threads from each other's memory. An intruder in a worker may make another thread open what that one
// may, such as the users file, which workers know anyway.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace penstock {

enum class SandboxMode {
  kOff,
  kOn,      // a call that is not needed fails, or ends the process if no program makes it by mistake
  kReport,  // it is reported, and succeeds
};

enum class ThreadKind { kWorker, kOther };

// A call that kOn would refuse: its number, and the name of the thread.
using SandboxReport = std::function<void(int call, const std::string& thread)>;

// Threads that are started from now on are confined in this mode. `report` is called by a thread of its own, once for
// each call of each name of threads, only in kReport.
void ConfineNewThreads(SandboxMode mode, SandboxReport report = {});

// What may be opened later. A folder stands for all that is beneath.
struct SandboxFolders {
  std::vector<std::string> files;  // to read, with what is beside them: another file may be put in their place
  std::vector<std::string> read;   // folders, and files that nobody replaces
  std::vector<std::string> write;  // folders in which files and sockets are made, replaced and removed, too
};

// What of the sandbox the kernel has.
struct SandboxParts {
  bool seccomp = false;
  int landlock = 0;  // its ABI; 0: none
};

// Confines this thread, as kOther, and all that it starts, for kOn.
SandboxParts ConfineProcess(const SandboxFolders& folders);

// Confines the calling thread, in the mode of ConfineNewThreads.
void ConfineThread(ThreadKind kind);

}  // namespace penstock

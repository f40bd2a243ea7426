// `penstock passwd NAME`: asks for a password and prints the line for a users file.
// Used by main instead of running the gateway; one thread.
// Invariant: the terminal's echo is as it was when this returns, and when a signal ends the program in between. The
// password is neither printed nor left in memory.
// Deliberately not here: the hash (password_hash.h), and changing a file.
#pragma once

namespace penstock {

// `arguments` as main gets them, the first two being the program and "passwd". Returns the exit status
// (process.h), with a sentence on standard error unless it is kExitClean: kExitFailure if there is no password,
// kExitUsage for a mistake on the command line.
int RunPasswd(int count, char* const arguments[]);

}  // namespace penstock

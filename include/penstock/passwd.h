// `penstock passwd NAME`: reads a password and prints the line for a users file.
// Called by main instead of running the gateway; one thread.
// Invariant: the echo of the terminal is restored before this returns, and before a signal ends the program. The
// password is neither printed nor left in memory.
// Does not: compute the hash (password_hash.h), change a file.
#pragma once

namespace penstock {

// Takes the arguments of main: the program, "passwd", NAME. Returns the exit status (process.h): kExitClean after it
// has printed the line; kExitFailure without a usable password, or if printing fails; kExitUsage for an error on the
// command line. Except for kExitClean it has printed a sentence on standard error.
int RunPasswd(int count, char* const arguments[]);

}  // namespace penstock

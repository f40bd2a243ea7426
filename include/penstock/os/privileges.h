// Dropping privileges.
// Stateless; called at start, while there is one thread: capabilities belong to a thread, not to the process.
// Invariant: after BecomeUser has succeeded, no group, capability or saved ID of the former user is left.
// Deliberately not here: the choice of the user, and what must be opened before.
#pragma once

#include <optional>
#include <string>

namespace penstock {

// Sets user, group and supplementary groups to those of user `name` (credentials(7)), and drops all capabilities unless
// `name` is root. If the process runs as that user already, it keeps its groups and needs no privilege. Returns nothing
// on success, else a sentence with the reason.
std::optional<std::string> BecomeUser(const std::string& name);

// Sets PR_SET_NO_NEW_PRIVS: execve(2) grants no privileges from now on. The gateway executes no program; an intruder
// might.
void ForbidNewPrivileges();

// Sets whether the kernel may write a core file and other processes of the user may read this one's memory, where
// passwords are (PR_SET_DUMPABLE, RLIMIT_CORE). Call it again after a change of user, which resets PR_SET_DUMPABLE.
void AllowDumps(bool allowed);

}  // namespace penstock

// Rights that a process gives up for good.
// Used while starting, before there is another thread: IDs are the process', but each thread has its own capabilities.
// Invariant: after BecomeUser has returned nothing, no way leads back: no group, no capability and no saved ID is left.
// Deliberately not here: which user, and what has to be opened before.
#pragma once

#include <optional>
#include <string>

namespace penstock {

// Gives this process the user, the group and the further groups of `name` (credentials(7)), and takes its capabilities
// unless that is root. When it is that user already no right is needed, and its groups stay what they are. Else a
// sentence that says why it cannot.
std::optional<std::string> BecomeUser(const std::string& name);

// From now on execve(2) grants no rights, whatever is executed (PR_SET_NO_NEW_PRIVS). Nothing here executes anything;
// an intruder might.
void ForbidNewPrivileges();

// Whether the process' memory, with what passwords are in it, may be written to a core file or read by its user's other
// programs (PR_SET_DUMPABLE, RLIMIT_CORE). To be said again after a change of user, which decides anew.
void AllowDumps(bool allowed);

}  // namespace penstock

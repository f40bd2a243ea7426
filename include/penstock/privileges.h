// Rights that a process gives up for good.
// Used while starting; the calls hold for all threads of the process (nptl(7)).
// Invariant: after BecomeUser has returned nothing, no way leads back: no group, no capability and no saved ID is left.
// Deliberately not here: which user, and what has to be opened before.
#pragma once

#include <optional>
#include <string>

namespace penstock {

// Gives this process the user, the group and the further groups of `name` (credentials(7)); without any right beyond
// those to begin with, nothing changes when it is that user already. Else a sentence that says why it cannot.
std::optional<std::string> BecomeUser(const std::string& name);

// From now on execve(2) grants no rights, whatever is executed (PR_SET_NO_NEW_PRIVS). Nothing here executes anything;
// an intruder might.
void ForbidNewPrivileges();

}  // namespace penstock

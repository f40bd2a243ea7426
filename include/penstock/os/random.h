// Random bytes that nobody can foresee, from the kernel.
// Stateless; any thread.
// Invariant: a key that comes out of here is as random as the kernel can make it, or it does not come.
// Deliberately not here: what keys are for.
#pragma once

#include <cstdint>

#include "penstock/base/digest.h"

namespace penstock {

// getrandom(2). Early in the life of a machine it waits until the kernel has gathered enough. Throws std::system_error
// when the system has no such call.
DigestKey RandomKey();

// The same for 64 bits, at any time.
std::uint64_t RandomBits();

}  // namespace penstock

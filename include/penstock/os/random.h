// Unpredictable random bytes from the kernel.
// Stateless; any thread.
// Invariant: all bytes come from getrandom(2); there is no weaker source to fall back to.
// Deliberately not here: the use of keys (base/digest.h).
#pragma once

#include <cstdint>

#include "penstock/base/digest.h"

namespace penstock {

// A random key. Early in the boot it blocks until the kernel has enough entropy. Throws std::system_error if
// getrandom(2) fails.
DigestKey RandomKey();

// 64 random bits, in the same way.
std::uint64_t RandomBits();

}  // namespace penstock

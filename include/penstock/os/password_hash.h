// Hashes of passwords that may be kept in a file: crypt(3), as libxcrypt has it.
// Stateless; any thread, but a hash takes milliseconds by intention, so no thread that serves clients.
// Invariant: what is not usable (an unknown method, DES, "*", half a hash) is told when a hash is looked at, not when
// somebody wants to log in with it.
// Deliberately not here: which method is good enough, and remembering what has been verified (logins.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "penstock/base/secret.h"

namespace penstock {

// True exactly when crypt(3) knows the method of `hash` (crypt_checksalt(3)), it begins with '$' as all methods do that
// came after DES, and it is not cut off.
bool IsPasswordHash(const Secret& hash);

// Method and cost: "$y$j9T$", "$6$rounds=9999$". Hashes with the same take the same time.
std::string_view HashKind(const Secret& hash);

// Hashes `password` and compares. It takes as long whether they match or not. A password with a NUL byte, behind which
// crypt(3) would stop reading, and an empty one match nothing.
bool HashMatches(const Secret& password, const Secret& hash);

// A hash by the library's preferred method with a random salt. Nothing when the system has no memory or no random
// bytes.
std::optional<std::string> MakePasswordHash(const Secret& password);

}  // namespace penstock

// Password hashes: crypt(3) of libxcrypt.
// Stateless; any thread. HashMatches and MakePasswordHash take milliseconds by design, so workers never call them.
// Invariant: IsPasswordHash rejects every hash that crypt(3) cannot verify (an unknown method, DES, "*", a truncated
// hash), so a useless one is found when the file is read, not at a login.
// Deliberately not here: which methods are strong enough, and the cache of verified logins (login/logins.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "penstock/base/secret.h"

namespace penstock {

// True exactly when crypt(3) knows the method of `hash` (crypt_checksalt(3)), the hash begins with '$', as those of all
// methods after DES do, and it is not truncated.
bool IsPasswordHash(const Secret& hash);

// The method and the cost of a hash: "$y$j9T$", "$6$rounds=9999$". Hashes of one kind take the same time.
std::string_view HashKind(const Secret& hash);

// Hashes `password` and compares it with `hash`, in the same time whether or not they match. An empty password matches
// nothing, nor does one with a NUL byte, where crypt(3) would stop.
bool HashMatches(const Secret& password, const Secret& hash);

// Hashes `password` with the preferred method of the library and a random salt. Nothing if the system has no memory or
// no random bytes.
std::optional<std::string> MakePasswordHash(const Secret& password);

}  // namespace penstock

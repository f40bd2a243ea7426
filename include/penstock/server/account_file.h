// The file in which accounts are kept, as text.
// Stateless; any thread.
// Invariant: a file that was cut or changed anywhere is not taken for a good one, short of a collision of the digest.
// Does not: read or write files (bookkeeper.h).
//
//   penstock-accounts 1
//   account UP DOWN DATAGRAMS-UP DATAGRAMS-DOWN SESSIONS FAILED-LOGINS FIRST-SEEN LAST-SEEN QUOTA-USED QUOTA-ENDS USER
//   sum DIGEST
//
// One line for each account. UP and DOWN are bytes of data, FIRST-SEEN and LAST-SEEN milliseconds since 1970 or 0.
// QUOTA-USED are the bytes of the quota's period that ends at QUOTA-ENDS, seconds since 1970; 0: no quota. USER is the
// rest of the line: a user name has neither control bytes nor blanks at its ends. DIGEST is the SipHash-2-4 of 128
// bits, with a key of zeros, of all bytes before its line, in hexadecimal digits. The sum finds damage, no forgery.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/policy/accounts.h"

namespace penstock {

std::string AccountFileText(std::span<const UserRow> accounts);

// Nothing if `text` is damaged, or of another version.
std::optional<std::vector<AccountRecord>> ParseAccountFile(std::string_view text);

}  // namespace penstock

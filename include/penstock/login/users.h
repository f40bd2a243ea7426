// The table of users: names, and the credentials that passwords are checked against.
// Built by a Users::Draft, then immutable. Shared as const: a check holds its table while a reload replaces it.
// Invariant: no password is stored. A crypt(3) hash is a Secret, a plain-text password only a keyed digest. No error
// message contains a password, a hash, or text that might be one in the wrong place.
// Does not: verify hashes (logins.h), decide what a user may do (rules.h).
//
//   alice:$y$j9T$...        a crypt(3) hash, as printed by `penstock passwd alice` or `openssl passwd -6`
//     quota 10G per month   a limit of the user above, on a line that begins with a blank (user_limits.h)
//   bob:{plain}xyzzy        a plain-text password, up to the end of the line, blanks included
//   # a comment             comments and empty lines are ignored
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "penstock/base/digest.h"
#include "penstock/base/secret.h"
#include "penstock/login/user_limits.h"

namespace penstock {

struct User {
  std::string name;
  Secret hash;                         // crypt(3); empty if the password was given in plain text
  Digest credential{};                 // digest of the name and the password or hash: differs when either is changed
  std::uint32_t index = 0;             // in its table: Users::at(index)
  std::unique_ptr<UserLimits> limits;  // null: it has none of its own

  bool plain() const { return hash.empty(); }
};

// True if `name` is a valid user name: 1 to 255 bytes (RFC 1929 section 2), no colon or control byte, no leading '#',
// no blank at either end.
bool IsUserName(std::string_view name);

// The same rule as a sentence for error messages.
inline constexpr std::string_view kUserNameRule =
    "a user name is 1 to 255 bytes without colons and control characters, with no leading '#' and no blank at either "
    "end";

class Users {
 public:
  class Draft;

  Users(const Users&) = delete;
  Users& operator=(const Users&) = delete;

  // Null if there is no such user. Looks up a keyed digest, so its time tells nothing about similar names.
  const User* Find(std::string_view name) const;

  // True if `name` has this credential, which comes from a table with the same key.
  bool Holds(std::string_view name, const Digest& credential) const;

  // The user to verify instead of an unknown one, so that a wrong name takes as long as a wrong password. It has the
  // table's most common kind of hash, or plain text if there are no hashes. The caller treats any match as wrong.
  const User& stand_in() const { return stand_in_; }

  // Compares in constant time. `user` is plain(), perhaps the stand-in; `name` is the name that the client sent.
  bool MatchesPlain(const User& user, std::string_view name, SecretView password) const;

  std::size_t size() const { return users_.size(); }
  const User& at(std::size_t index) const { return users_[index]; }

 private:
  explicit Users(const DigestKey& key) : key_(key) {}
  Digest DigestOfName(std::string_view name) const;
  Digest DigestOfPlain(std::string_view name, SecretView password) const;
  Digest DigestOfHash(std::string_view name, const Secret& hash) const;

  const DigestKey key_;
  std::vector<User> users_;                                        // in the order in which they were added
  std::unordered_map<Digest, std::uint32_t, DigestHash> by_name_;  // DigestOfName -> index
  User stand_in_;
};

// Builds a table. On an error each function returns false, puts a sentence that begins with file and line into
// `*error`, and the draft is unusable.
class Users::Draft {
 public:
  // Tables with the same key give equal users equal credentials.
  explicit Draft(const DigestKey& key) : users_(new Users(key)) {}

  // Reads a users file. A file that others can read or write, or that has no user, is an error.
  bool AddFile(const std::string& path, std::string* error);

  // Reads `text`; error messages name it `file`.
  bool AddText(std::string_view text, const std::string& file, std::string* error);

  // Adds NAME:PASSWORD with a plain-text password. Error messages begin with `where`, such as "--user".
  bool AddPair(SecretView name_and_password, const std::string& where, std::string* error);

  // Returns the table. The draft is empty afterwards.
  std::shared_ptr<const Users> Finish();

 private:
  struct Origin {
    std::uint32_t place;  // index in places_
    std::size_t line;     // 0: none
  };
  struct Kind {  // of hash: users who have it
    std::size_t users = 0;
    std::uint32_t first = 0;  // the index of the first of them
  };

  std::string AddLine(std::string_view line, Origin origin);
  std::string AddLimit(std::string_view line, Origin origin);
  std::string AddUser(User user, Origin origin);
  std::string AddPlain(std::string_view name, std::string_view password, Origin origin);
  std::uint32_t PlaceOf(const std::string& name);
  std::string Describe(Origin origin) const;

  std::unique_ptr<Users> users_;
  std::vector<std::string> places_;  // file names, and options such as "--user"
  std::vector<Origin> origins_;      // by user index
  std::map<std::string, Kind, std::less<>> kinds_;
};

}  // namespace penstock

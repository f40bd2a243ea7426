// Who may use the gateway: names, and what their passwords are checked against.
// Made by a Users::Draft, then immutable; shared as const by whoever is checking somebody while a reload replaces it.
// Invariant: no password is in it. A hash is kept as a Secret; of a password in plain text, only a keyed digest. No
// sentence about a mistake holds a password, a hash, or anything that might be one because it is in the wrong place.
// Deliberately not here: the checking (logins.h), and what a user may do (rules.h).
//
//   alice:$y$j9T$...        a hash of crypt(3), such as `penstock passwd alice` or `openssl passwd -6` makes
//   bob:{plain}xyzzy        plain text, up to the end of the line, blanks included
//   # a comment             and empty lines
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

namespace penstock {

struct User {
  std::string name;
  Secret hash;              // of crypt(3), or empty: then the password was given as plain text
  Digest credential{};      // of the name and that password, or of the name and the hash: changes when they do
  std::uint32_t index = 0;  // of this user in this table

  bool plain() const { return hash.empty(); }
};

// True exactly when `name` can stand in a users file: 1 to 255 bytes, none of them a colon or a control byte, no '#' at
// the beginning and no blank at either end.
bool IsUserName(std::string_view name);

// The same as a sentence.
inline constexpr std::string_view kUserNameRule =
    "a name has 1 to 255 bytes, no colon or control byte among them, no '#' at its beginning, no blank at either end";

class Users {
 public:
  class Draft;

  Users(const Users&) = delete;
  Users& operator=(const Users&) = delete;

  // Null when there is none of that name. Its time does not depend on how much of a name was right.
  const User* Find(std::string_view name) const;

  // True when there is a user of that name with that credential, of a table with the same key.
  bool Holds(std::string_view name, const Digest& credential) const;

  // What a name that Find does not know is checked against, so that it takes as long as a wrong password: somebody with
  // the most common kind of hash (plain text only where there are no hashes), whose password is to count as wrong.
  const User& stand_in() const { return stand_in_; }

  // For a `user` who is plain(), the stand-in included, and the `name` that was asked for. In constant time.
  bool MatchesPlain(const User& user, std::string_view name, SecretView password) const;

  std::size_t size() const { return users_.size(); }
  const User& at(std::size_t index) const { return users_[index]; }

 private:
  explicit Users(const DigestKey& key) : key_(key) {}
  Digest DigestOfName(std::string_view name) const;
  Digest DigestOfPlain(std::string_view name, SecretView password) const;
  Digest DigestOfHash(std::string_view name, const Secret& hash) const;

  const DigestKey key_;
  std::vector<User> users_;                                        // by index, in the order in which they were added
  std::unordered_map<Digest, std::uint32_t, DigestHash> by_name_;  // keys are digests of names
  User stand_in_;
};

// A table in the making. What is added must be right: on a mistake a function returns false with a sentence in `*error`
// that begins with the file and the line, and the draft is of no further use.
class Users::Draft {
 public:
  // Tables with the same key have the same credentials for the same users.
  explicit Draft(const DigestKey& key) : users_(new Users(key)) {}

  // Reads a users file, which nobody but its owner may be able to read or change. One without a user is a mistake.
  bool AddFile(const std::string& path, std::string* error);

  // The same for a text, which is called `file` in a mistake.
  bool AddText(std::string_view text, const std::string& file, std::string* error);

  // "NAME:PASSWORD" in plain text. `where` is what a mistake begins with, such as "--user".
  bool AddPair(SecretView name_and_password, const std::string& where, std::string* error);

  // The table; the draft has nothing left afterwards.
  std::shared_ptr<const Users> Finish();

 private:
  struct Origin {
    std::uint32_t place;  // in places_
    std::size_t line;     // 0: without
  };
  struct Kind {
    std::size_t users = 0;
    std::uint32_t first = 0;  // the index of one of them
  };

  std::string AddLine(std::string_view line, Origin origin);
  std::string AddUser(User user, Origin origin);
  std::string AddPlain(std::string_view name, std::string_view password, Origin origin);
  std::uint32_t PlaceOf(const std::string& name);
  std::string Describe(Origin origin) const;

  std::unique_ptr<Users> users_;
  std::vector<std::string> places_;  // files, and words such as "--user"
  std::vector<Origin> origins_;      // of each user
  std::map<std::string, Kind, std::less<>> kinds_;
};

}  // namespace penstock

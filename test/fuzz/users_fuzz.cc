// Contents of a users file, and the same as a pair on the command line: accepted users are found, and the message of an
// error quotes nothing of the content.

#include "penstock/login/users.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "penstock/base/limits.h"
#include "penstock/os/password_hash.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// A message consists of the place, the line and fixed words, so no secret of the input is part of it.
void CheckError(const std::string& error, std::string_view place, std::string_view text) {
  Require(error.starts_with(place) && error.size() < 300);
  Require(std::ranges::all_of(error, [](char c) { return c >= ' ' && c <= '~'; }));
  for (const std::string_view secret : {"open-sesame", "$6$", "$y$"}) {
    Require(text.find(secret) == std::string_view::npos || error.find(secret) == std::string::npos);
  }
}

void CheckUsers(const penstock::Users& users) {
  for (std::size_t i = 0; i < users.size(); ++i) {
    const penstock::User& user = users.at(i);
    Require(user.index == i && users.Find(user.name) == &user);
    Require(penstock::IsUserName(user.name));
    Require(user.plain() || penstock::IsPasswordHash(user.hash));
    Require(user.plain() || user.hash.Reveal().starts_with(penstock::HashKind(user.hash)));
    Require(users.Find(user.name + ':') == nullptr);
  }
  Require(users.Find("") == nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const penstock::DigestKey key{1, 2, 3};
  std::string error;

  penstock::Users::Draft file(key);
  if (file.AddText(text, "users", &error)) {
    CheckUsers(*file.Finish());
  } else {
    CheckError(error, "users:", text);
  }

  penstock::Users::Draft pair(key);
  if (!pair.AddPair(penstock::SecretView(text), "--user", &error)) {
    CheckError(error, "--user: ", text);
    return 0;
  }
  const auto users = pair.Finish();
  CheckUsers(*users);
  Require(users->size() == 1);
  const std::string& name = users->at(0).name;
  const std::string_view password = std::string_view(text).substr(name.size() + 1);
  Require(users->MatchesPlain(users->at(0), name, penstock::SecretView(password)));
  Require(!users->MatchesPlain(users->at(0), name, penstock::SecretView(password.substr(1))));
  return 0;
}

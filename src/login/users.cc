#include "penstock/login/users.h"

#include <algorithm>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/base/text.h"
#include "penstock/os/file.h"
#include "penstock/os/password_hash.h"

namespace penstock {
namespace {

constexpr std::string_view kPlainMark = "{plain}";

// Error messages. None quotes the input, which may be a password in the wrong place.
constexpr std::string_view kBadPassword = "a plain-text password is 1 to 255 bytes";
constexpr std::string_view kBadPair = "expected NAME:PASSWORD";
constexpr std::string_view kBadLine =
    "missing colon; a line is NAME:HASH, as `penstock passwd NAME` prints it, or NAME:{plain}PASSWORD";
constexpr std::string_view kBadHash =
    "the text after the name is not a hash that crypt(3) supports on this system; create the line with `penstock "
    "passwd "
    "NAME`, or mark plain text with {plain}";

constexpr std::string_view kBadLimit =
    "a line that begins with a blank is a limit of the user above it: quota, expires, hours or max-clients";
constexpr std::string_view kSecondLimit = " is given a second time for this user";

bool IsControl(char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }

}  // namespace

bool IsUserName(std::string_view name) {
  return !name.empty() && name.size() <= kUserNameBytesMax && !name.starts_with('#') && Trimmed(name) == name &&
         std::ranges::none_of(name, [](char c) { return c == ':' || IsControl(c); });
}

const User* Users::Find(std::string_view name) const {
  const auto found = by_name_.find(DigestOfName(name));
  return found == by_name_.end() ? nullptr : &users_[found->second];
}

bool Users::Holds(std::string_view name, const Digest& credential) const {
  const User* const user = Find(name);
  return user != nullptr && user->credential == credential;
}

bool Users::MatchesPlain(const User& user, std::string_view name, SecretView password) const {
  return SameInConstantTime(DigestOfPlain(name, password), user.credential);
}

Digest Users::DigestOfName(std::string_view name) const { return KeyedDigest(key_).Add("name").Add(name).Finish(); }

Digest Users::DigestOfPlain(std::string_view name, SecretView password) const {
  return KeyedDigest(key_).Add("plain").Add(name).Add(password.Reveal()).Finish();
}

Digest Users::DigestOfHash(std::string_view name, const Secret& hash) const {
  return KeyedDigest(key_).Add("hash").Add(name).Add(hash.Reveal()).Finish();
}

bool Users::Draft::AddFile(const std::string& path, std::string* error) {
  const auto text = ReadPrivateFile(path, kUsersFileBytesMax, error);
  if (!text) return false;
  const std::size_t had = users_->size();
  if (!AddText(text->Reveal(), path, error)) return false;
  if (users_->size() > had) return true;
  *error = path + ": the file has no users";
  return false;
}

bool Users::Draft::AddText(std::string_view text, const std::string& file, std::string* error) {
  Origin origin{PlaceOf(file), 0};
  while (!text.empty()) {
    ++origin.line;
    const std::string problem = AddLine(TakeLine(text), origin);
    if (problem.empty()) continue;
    *error = Describe(origin) + ": " + problem;
    return false;
  }
  return true;
}

bool Users::Draft::AddPair(SecretView name_and_password, const std::string& where, std::string* error) {
  const std::string_view text = name_and_password.Reveal();
  const Origin origin{PlaceOf(where), 0};
  const std::size_t colon = text.find(':');
  const std::string problem = colon == std::string_view::npos
                                  ? std::string(kBadPair)
                                  : AddPlain(text.substr(0, colon), text.substr(colon + 1), origin);
  if (!problem.empty()) *error = where + ": " + problem;
  return problem.empty();
}

std::shared_ptr<const Users> Users::Draft::Finish() {
  std::size_t most = 0;
  for (const auto& [name, kind] : kinds_) {
    if (kind.users <= most) continue;
    most = kind.users;
    users_->stand_in_.hash = Secret(users_->users_[kind.first].hash.view());
  }
  users_->users_.shrink_to_fit();
  return std::move(users_);
}

std::string Users::Draft::AddLine(std::string_view line, Origin origin) {
  if (const std::string_view text = Trimmed(line); text.empty() || text.starts_with('#')) return {};
  if (kBlanks.find(line.front()) != std::string_view::npos) return AddLimit(line, origin);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return std::string(kBadLine);
  const std::string_view name = line.substr(0, colon);
  std::string_view rest = line.substr(colon + 1);
  if (rest.starts_with(kPlainMark)) return AddPlain(name, rest.substr(kPlainMark.size()), origin);

  rest = rest.substr(0, rest.find_last_not_of(kBlanks) + 1);
  User user;
  user.name = name;
  user.hash = Secret(rest);
  if (!IsUserName(name)) return std::string(kUserNameRule);
  if (!IsPasswordHash(user.hash)) return std::string(kBadHash);
  user.credential = users_->DigestOfHash(name, user.hash);
  return AddUser(std::move(user), origin);
}

// The line belongs to the last user of the same file.
std::string Users::Draft::AddLimit(std::string_view line, Origin origin) {
  const std::string_view name = TakeWord(line);
  const bool follows = !origins_.empty() && origins_.back().place == origin.place;
  if (!follows || !UserLimits::IsName(name)) return std::string(kBadLimit);
  std::unique_ptr<UserLimits>& limits = users_->users_.back().limits;
  if (limits == nullptr) limits = std::make_unique<UserLimits>();
  UserLimits limit;
  if (const auto accepted = limit.Set(name, Trimmed(line)))
    return std::string(name) + ": give " + std::string(*accepted);
  if ((limit.quota && limits->quota) || (limit.expires && limits->expires) || (limit.hours && limits->hours) ||
      (limit.clients_max && limits->clients_max)) {
    return std::string(name) + std::string(kSecondLimit);
  }
  *limits = limits->Or(limit);
  return {};
}

std::string Users::Draft::AddPlain(std::string_view name, std::string_view password, Origin origin) {
  if (!IsUserName(name)) return std::string(kUserNameRule);
  if (password.empty() || password.size() > kPasswordBytesMax) return std::string(kBadPassword);
  User user;
  user.name = name;
  user.credential = users_->DigestOfPlain(name, SecretView(password));
  return AddUser(std::move(user), origin);
}

std::string Users::Draft::AddUser(User user, Origin origin) {
  user.index = static_cast<std::uint32_t>(users_->size());
  const auto [entry, added] = users_->by_name_.try_emplace(users_->DigestOfName(user.name), user.index);
  if (!added) return "duplicate name; first given in " + Describe(origins_[entry->second]);
  if (!user.plain()) {
    const std::string_view name = HashKind(user.hash);
    auto kind = kinds_.find(name);
    if (kind == kinds_.end()) kind = kinds_.try_emplace(std::string(name), Kind{0, user.index}).first;
    ++kind->second.users;
  }
  origins_.push_back(origin);
  users_->users_.push_back(std::move(user));
  return {};
}

std::uint32_t Users::Draft::PlaceOf(const std::string& name) {
  if (places_.empty() || places_.back() != name) places_.push_back(name);
  return static_cast<std::uint32_t>(places_.size() - 1);
}

std::string Users::Draft::Describe(Origin origin) const {
  const std::string& place = places_[origin.place];
  return origin.line == 0 ? place : place + ':' + std::to_string(origin.line);
}

}  // namespace penstock

#include "penstock/os/password_hash.h"

#include <crypt.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <span>

#include "penstock/base/digest.h"
#include "penstock/base/limits.h"

namespace penstock {
namespace {

static_assert(kPasswordHashBytesMax == CRYPT_OUTPUT_SIZE - 1);
static_assert(kPasswordBytesMax < CRYPT_MAX_PASSPHRASE_SIZE);

struct Shape {
  std::string_view method;
  std::size_t last_bytes;  // after the last '$' (crypt(5))
};
constexpr Shape kShapes[] = {{"$y$", 43}, {"$gy$", 43}, {"$7$", 43}, {"$2", 53}, {"$6$", 86}, {"$5$", 43}, {"$1$", 22}};

bool IsOfHash(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '/';
}

// The work area of crypt_rn(3), 32 KiB. crypt_rn(3) leaves the password in it, so the destructor wipes it.
class Workspace {
 public:
  ~Workspace() { Wipe(std::span(reinterpret_cast<std::uint8_t*>(data_.get()), sizeof *data_)); }

  // The hash, valid as long as the workspace; null if crypt(3) fails.
  const char* Hash(const Secret& password, const char* setting) {
    return ::crypt_rn(password.c_str(), setting, data_.get(), sizeof *data_);
  }

 private:
  std::unique_ptr<crypt_data> data_ = std::make_unique<crypt_data>();
};

}  // namespace

bool IsPasswordHash(const Secret& hash) {
  const std::string_view text = hash.Reveal();
  if (!text.starts_with('$') || text.size() > kPasswordHashBytesMax || text.find('\0') != std::string_view::npos)
    return false;
  const int verdict = ::crypt_checksalt(hash.c_str());
  if (verdict != CRYPT_SALT_OK && verdict != CRYPT_SALT_METHOD_LEGACY && verdict != CRYPT_SALT_TOO_CHEAP) return false;
  const std::string_view last = text.substr(text.rfind('$') + 1);
  if (last.empty() || !std::ranges::all_of(last, IsOfHash)) return false;
  for (const Shape& shape : kShapes) {
    if (text.starts_with(shape.method)) return last.size() == shape.last_bytes;
  }
  return true;
}

std::string_view HashKind(const Secret& hash) {
  constexpr std::size_t kScryptCostBytes = 11;  // $7$ has cost and salt in one field
  const std::string_view text = hash.Reveal();
  const std::size_t method_end = text.find('$', 1);
  if (text.starts_with("$7$")) return text.substr(0, method_end + 1 + kScryptCostBytes);
  const std::string_view second = text.substr(std::min(method_end, text.size() - 1) + 1);
  const bool has_cost =
      text.starts_with("$y$") || text.starts_with("$gy$") || text.starts_with("$2") || second.starts_with("rounds=");
  return text.substr(0, (has_cost ? text.find('$', method_end + 1) : method_end) + 1);
}

bool HashMatches(const Secret& password, const Secret& hash) {
  Workspace workspace;
  const char* const made = workspace.Hash(password, hash.c_str());
  const bool whole = !password.empty() && password.Reveal().find('\0') == std::string_view::npos;
  return made != nullptr && SameInConstantTime(std::string_view(made), hash.Reveal()) && whole;
}

std::optional<std::string> MakePasswordHash(const Secret& password) {
  const std::unique_ptr<char, decltype(&::free)> setting(::crypt_gensalt_ra(nullptr, 0, nullptr, 0), ::free);
  if (setting == nullptr) return std::nullopt;
  Workspace workspace;
  const char* const made = workspace.Hash(password, setting.get());
  if (made == nullptr) return std::nullopt;
  return made;
}

}  // namespace penstock

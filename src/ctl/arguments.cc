#include "penstock/ctl/arguments.h"

#include <algorithm>

#include "penstock/base/text.h"
#include "penstock/os/file.h"

namespace penstock {
namespace {

constexpr std::size_t kTokenBytesMax = 4096;

// The first line of the file.
std::optional<Secret> ReadToken(const std::string& path, std::string* error) {
  const auto text = ReadPrivateFile(path, kTokenBytesMax, error);
  if (!text) return std::nullopt;
  const std::string_view token = Trimmed(text->Reveal());
  if (token.empty() || !std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; })) {
    *error = path + ": a token is one line of ASCII letters, digits and marks without blanks";
    return std::nullopt;
  }
  return std::optional<Secret>(std::in_place, token);
}

// One option with its value. Returns the error; empty if there is none.
std::string Set(std::string_view name, const std::string& value, std::span<const std::string_view> filters,
                CtlArguments& arguments) {
  if (name == "admin") {
    const auto admin = AdminAddress::Parse(value);
    if (!admin) return "--admin: '" + value + "' is not unix:PATH or http://ADDR:PORT";
    arguments.admin = *admin;
  } else if (name == "token-file") {
    std::string error;
    auto token = ReadToken(value, &error);
    if (!token) return "--token-file: " + error;
    arguments.token = std::move(*token);
  } else if (std::ranges::find(filters, name) != filters.end()) {
    arguments.filters.emplace_back(name, value);
  } else {
    return "unknown option --" + std::string(name);
  }
  return {};
}

}  // namespace

std::optional<CtlArguments> CtlArguments::Parse(std::span<const std::string_view> arguments,
                                                std::span<const std::string_view> filters, std::string* error) {
  std::optional<CtlArguments> parsed(std::in_place);
  parsed->admin = *AdminAddress::Parse(kAdminDefault);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view word = arguments[i];
    if (word == "--json") {
      parsed->json = true;
    } else if (word == "--help" || word == "-h") {
      parsed->help = true;
    } else if (!word.starts_with("-")) {
      parsed->words.emplace_back(word);
    } else {
      const std::size_t equals = word.find('=');
      const std::string_view name = word.substr(0, equals);
      const bool last = i + 1 == arguments.size();
      *error = !name.starts_with("--") ? "unknown option " + std::string(word)
               : equals == std::string_view::npos && last
                   ? "option " + std::string(name) + " needs a value"
                   : Set(name.substr(2),
                         std::string(equals == std::string_view::npos ? arguments[++i] : word.substr(equals + 1)),
                         filters, *parsed);
      if (!error->empty()) return std::nullopt;
    }
  }
  return parsed;
}

}  // namespace penstock

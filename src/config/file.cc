#include "penstock/config/file.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/base/text.h"
#include "penstock/os/file.h"

namespace penstock {
namespace {

// A '#' within a word begins no comment, because it may be part of a password.
std::string_view WithoutComment(std::string_view line) {
  for (std::size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1)) {
    if (at == 0 || kBlanks.find(line[at - 1]) != std::string_view::npos) return line.substr(0, at);
  }
  return line;
}

bool IsName(std::string_view word) {
  return !word.starts_with('-') &&
         std::ranges::all_of(word, [](unsigned char c) { return std::islower(c) || std::isdigit(c) || c == '-'; });
}

bool HasControlByte(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

std::optional<std::string> TakeText(Secret text, const std::string& path, std::size_t depth, ConfigFile* into) {
  into->texts.push_back(std::move(text));
  return ReadConfigText(into->texts.back().Reveal(), path, depth, into);
}

std::optional<std::string> Include(const Directive& directive, std::size_t depth, ConfigFile* into) {
  if (depth + 1 == kConfigDepthMax) {
    return directive.where + ": '" + std::string(directive.value) + "' is nested more than " +
           std::to_string(kConfigDepthMax) + " files deep; does a file include itself?";
  }
  const std::string pattern = PathIn(directive, directive.value);
  std::vector<std::string> files;
  if (const auto failure = FindFiles(pattern, &files, &into->directories)) return directive.where + ": " + *failure;
  for (const std::string& file : files) {
    std::string read_error;
    auto text = ReadSecretFile(file, kConfigBytesMax, &read_error);
    if (!text) return directive.where + ": " + read_error;
    if (auto error = TakeText(std::move(*text), file, depth + 1, into)) return error;
  }
  return std::nullopt;
}

std::optional<std::string> TakeDirective(std::string_view line, const std::string& where, const std::string& path,
                                         std::size_t depth, ConfigFile* into) {
  std::string_view rest = WithoutComment(line);
  if (HasControlByte(rest)) return where + ": the line contains a control byte; give printable text";
  const std::string_view name = TakeWord(rest);
  if (name.empty()) return std::nullopt;
  Directive directive{name, Trimmed(rest), {}, path};
  if (!IsName(directive.name)) {
    // The text after a colon may be a password: "alice:..." or "user=alice:...".
    return where + ": '" + std::string(directive.name.substr(0, directive.name.find(':'))) +
           "' is not a directive; give the name of an option, without leading dashes";
  }
  directive.where = where + ": " + std::string(directive.name);
  if (directive.name != "include") {
    into->directives.push_back(std::move(directive));
    return std::nullopt;
  }
  if (directive.value.empty()) return directive.where + " needs a value; give the name of a file";
  return Include(directive, depth, into);
}

}  // namespace

std::string PathIn(const Directive& directive, std::string_view name) {
  return std::filesystem::path(directive.file).parent_path() / name;
}

std::optional<std::string> ReadConfigFile(const std::string& path, ConfigFile* into) {
  std::string error;
  auto text = ReadSecretFile(path, kConfigBytesMax, &error);
  return text ? TakeText(std::move(*text), path, 0, into) : std::optional(error);
}

std::optional<std::string> ReadConfigText(std::string_view text, const std::string& path, std::size_t depth,
                                          ConfigFile* into) {
  if (into->files.size() == kConfigFilesMax) {
    return path + ": there are more than " + std::to_string(kConfigFilesMax) + " configuration files";
  }
  into->files.push_back(path);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = TakeLine(text);
    if (auto error = TakeDirective(line, path + ":" + std::to_string(number), path, depth, into)) return error;
  }
  return std::nullopt;
}

}  // namespace penstock

#include "penstock/config/file.h"

#include <dirent.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/file.h"

namespace penstock {
namespace {

constexpr std::string_view kBlanks = " \t";

std::string_view Trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// A password may have a '#' in it, so one within a word begins no comment.
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

// What glob(3) meets on its way. By itself it takes a folder that it may not read for an empty one.
struct Search {
  std::string_view pattern;
  std::vector<std::string>* folders;  // those that it has read
  std::string failure;                // the first one that is more than "not there"

  // What a wildcard matches may be no folder; what is written out has to be one.
  void Note(std::string_view path) {
    const bool harmless = errno == ENOENT || (errno == ENOTDIR && !pattern.starts_with(path));
    if (!harmless && failure.empty()) failure = "cannot read " + std::string(path) + ": " + std::strerror(errno);
  }
};
thread_local Search* search = nullptr;  // glob(3) hands nothing on to the functions that it calls

void* OpenFolder(const char* path) {
  DIR* const folder = ::opendir(path);
  if (folder != nullptr) search->folders->emplace_back(path);
  if (folder == nullptr) search->Note(path);
  return folder;
}

dirent* ReadFolder(void* folder) {
  errno = 0;
  dirent* const entry = ::readdir(static_cast<DIR*>(folder));
  if (entry == nullptr && errno != 0) search->Note(search->folders->back().c_str());
  return entry;
}

template <auto Stat>
int LookAt(const char* __restrict path, struct stat* __restrict status) {
  const int result = Stat(path, status);
  if (result != 0) search->Note(path);
  return result;
}

// What `pattern` matches, sorted. A plain name is found whether or not it is there: whoever reads it will say.
std::optional<std::string> Match(const std::string& pattern, std::vector<std::string>* paths,
                                 std::vector<std::string>* folders) {
  if (pattern.find_first_of("*?[") == std::string::npos) {
    paths->push_back(pattern);
    return std::nullopt;
  }
  Search met{pattern, folders, {}};
  search = &met;
  glob_t found{};
  found.gl_opendir = OpenFolder;
  found.gl_readdir = ReadFolder;
  found.gl_closedir = [](void* folder) { ::closedir(static_cast<DIR*>(folder)); };
  found.gl_lstat = LookAt<::lstat>;
  found.gl_stat = LookAt<::stat>;
  const int result = ::glob(pattern.c_str(), GLOB_ALTDIRFUNC, nullptr, &found);
  if (result != 0 && result != GLOB_NOMATCH && met.failure.empty()) met.failure = "cannot read " + pattern;
  if (result == 0) paths->assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (met.failure.empty()) return std::nullopt;
  return met.failure;
}

std::optional<std::string> TakeText(Secret text, const std::string& path, std::size_t depth, ConfigFile* into) {
  into->texts.push_back(std::move(text));
  return ReadConfigText(into->texts.back().Reveal(), path, depth, into);
}

std::optional<std::string> Include(const Directive& directive, std::size_t depth, ConfigFile* into) {
  if (depth + 1 == kConfigDepthMax) {
    return directive.where + ": '" + std::string(directive.value) + "' is the " + std::to_string(kConfigDepthMax) +
           "th file in a row that another one includes; does one include itself?";
  }
  const std::string pattern = PathIn(directive, directive.value);
  std::vector<std::string> files;
  if (const auto failure = Match(pattern, &files, &into->folders)) return directive.where + ": " + *failure;
  for (const std::string& file : files) {
    std::string error;
    auto text = ReadSecretFile(file, kConfigBytesMax, &error);
    if (!text) return directive.where + ": " + error;
    if (auto mistake = TakeText(std::move(*text), file, depth + 1, into)) return mistake;
  }
  return std::nullopt;
}

std::optional<std::string> TakeLine(std::string_view line, const std::string& where, const std::string& path,
                                    std::size_t depth, ConfigFile* into) {
  const std::string_view rest = Trimmed(WithoutComment(line));
  if (rest.empty()) return std::nullopt;
  const std::size_t end = std::min(rest.find_first_of(kBlanks), rest.size());
  Directive directive{rest.substr(0, end), Trimmed(rest.substr(end)), {}, path};
  if (HasControlByte(rest)) return where + ": there is a control byte in this line; give printable text";
  if (!IsName(directive.name)) {
    // What stands behind a colon may be a password: "alice:..." or "user=alice:...".
    return where + ": '" + std::string(directive.name.substr(0, directive.name.find(':'))) +
           "' is no directive; give a name as in --help, without dashes before it";
  }
  directive.where = where + ": " + std::string(directive.name);
  if (directive.name != "include") {
    into->directives.push_back(std::move(directive));
    return std::nullopt;
  }
  if (directive.value.empty()) return directive.where + " wants a value: the name of a file";
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
    return path + ": there are more than " + std::to_string(kConfigFilesMax) + " files of configuration";
  }
  into->files.push_back(path);
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (auto mistake = TakeLine(line, path + ":" + std::to_string(number), path, depth, into)) return mistake;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return std::nullopt;
}

}  // namespace penstock

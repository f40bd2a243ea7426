// Reads a configuration file into directives, in order, with those of an included file in place of the include.
// Used by config.h; any thread.
// Invariant: a directive knows where it stands; its name consists of letters, digits and dashes, and its value has no
// control byte. A value may be a password, so it is not copied: it is a part of the text, which is wiped with the
// ConfigFile.
// Deliberately not here: which directives there are, and what their values mean (options.h).
//
//   # a comment, to the end of the line; within a line it begins after a blank
//   listen 0.0.0.0:1080                       a name, blanks, and the value: the rest of the line
//   include /etc/penstock.d/*.conf            a glob(7) pattern, relative to the file in which it stands; it may match
//                                             nothing, but a directory that cannot be read is an error
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/secret.h"

namespace penstock {

struct Directive {
  std::string_view name;  // these two lie in a text of the ConfigFile, or in the command line
  std::string_view value;
  std::string where;  // what an error begins with: "FILE:LINE: NAME", or "--NAME" for the command line
  std::string file;   // in which it stands; empty for the command line
};

struct ConfigFile {
  std::vector<Directive> directives;
  std::vector<Secret> texts;         // in which the directives lie
  std::vector<std::string> files;    // that were read, in that order
  std::vector<std::string> folders;  // that were searched for what a pattern matches
};

// The path that `name`, in the value of `directive`, means: relative to the file in which the directive stands.
std::string PathIn(const Directive& directive, std::string_view name);

// Appends the directives of the file at `path`. Returns an error, with file and line, or nothing.
std::optional<std::string> ReadConfigFile(const std::string& path, ConfigFile* into);

// The same for the text of `path`, which must outlive the directives. `depth`: the number of files that include it.
std::optional<std::string> ReadConfigText(std::string_view text, const std::string& path, std::size_t depth,
                                          ConfigFile* into);

}  // namespace penstock

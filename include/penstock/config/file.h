// Reads a configuration file into directives, in their order; an include is replaced by the directives of its files.
// A ConfigFile is owned by the reader of the options (config.h). Functions without state; any thread.
// Invariant: the name of a directive consists of lower-case letters, digits and dashes, and its value has no control
// byte but tabs. A value may be a password, so it is not copied: it is a view of the text, which is wiped with the
// ConfigFile.
// Does not: know which directives exist and what their values mean (options.h).
//
//   # a comment, to the end of the line; it begins a line or follows a blank
//   listen 0.0.0.0:1080                       a name, blanks, and the value: the rest of the line
//   include /etc/penstock.d/*.conf            a glob(7) pattern, relative to the including file; it may match nothing,
//                                             but a directory that cannot be read is an error
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/secret.h"

namespace penstock {

struct Directive {
  std::string_view name;  // name and value are views of a text of the ConfigFile, or of the command line
  std::string_view value;
  std::string where;  // its place, which begins an error: "FILE:LINE: NAME", or "--NAME" on the command line
  std::string file;   // the path of its file; empty: the command line
};

struct ConfigFile {
  std::vector<Directive> directives;
  std::vector<Secret> texts;             // of the files; the directives are views of them
  std::vector<std::string> files;        // the files that were read, in that order
  std::vector<std::string> directories;  // the directories that were searched for matches of a pattern
};

// The path of the file `name`, which is part of the value of `directive`: relative to the directive's file.
std::string PathIn(const Directive& directive, std::string_view name);

// Appends the directives of the file at `path`. Returns an error, with file and line, or nothing.
std::optional<std::string> ReadConfigFile(const std::string& path, ConfigFile* into);

// The same for `text`, the contents of the file at `path`, which must outlive the directives. `depth` is the number of
// files that include it.
std::optional<std::string> ReadConfigText(std::string_view text, const std::string& path, std::size_t depth,
                                          ConfigFile* into);

}  // namespace penstock

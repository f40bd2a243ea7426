// The text of a configuration: directives in the order in which they stand, those of included files in their place.
// Used by config.h; any thread.
// Invariant: a directive knows where it was written, and what comes out has a name of letters, digits and dashes and a
// value without control bytes. A value may be a password, so there is no copy of it: it is a part of the text, and the
// text is wiped when the ConfigFile goes.
// Deliberately not here: which directives there are, and what their values mean (options.h).
//
//   # a comment, to the end of the line; within a line it begins after a blank
//   listen 0.0.0.0:1080                       a name, blanks, and the rest of the line is the value
//   include /etc/penstock.d/*.conf            a pattern of glob(7), relative to the file that it stands in; it may
//                                             match nothing, but a folder that cannot be read is a mistake
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
  std::string where;  // what a mistake begins with: "FILE:LINE: NAME", or "--NAME" for one of the command line
  std::string file;   // that it stands in; empty for the command line
};

struct ConfigFile {
  std::vector<Directive> directives;
  std::vector<Secret> texts;         // in which the directives lie
  std::vector<std::string> files;    // that were read, in that order
  std::vector<std::string> folders;  // that were searched for what a pattern matches
};

// What `name`, as the value of `directive`, means: relative to the file that the directive stands in.
std::string PathIn(const Directive& directive, std::string_view name);

// Adds the directives of the file at `path`. A mistake is a sentence that names the file and the line.
std::optional<std::string> ReadConfigFile(const std::string& path, ConfigFile* into);

// The same for a text that stands in `path`, and outlives the directives. `depth`: how many files include it.
std::optional<std::string> ReadConfigText(std::string_view text, const std::string& path, std::size_t depth,
                                          ConfigFile* into);

}  // namespace penstock

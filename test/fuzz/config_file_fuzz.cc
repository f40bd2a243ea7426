// The text of a configuration file: accepted text has the form that config/file.h specifies, each option accepts its
// value or reports what it accepts, and an error names its place.

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "penstock/config/file.h"
#include "penstock/config/options.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

bool IsPrintable(std::string_view text) {
  return std::ranges::none_of(text, [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

void TakeDirective(const penstock::Directive& directive, penstock::CommandLine& line, penstock::PolicyDraft& draft) {
  Require(!directive.name.empty() && directive.name != "include");
  Require(std::ranges::all_of(directive.name,
                              [](unsigned char c) { return std::islower(c) || std::isdigit(c) || c == '-'; }));
  Require(IsPrintable(directive.value));
  Require(directive.where.starts_with("/nowhere/conf:"));
  const penstock::Option* const option = penstock::FindOption(directive.name);
  if (option == nullptr || directive.name == "users" || directive.name == "set-file") return;  // files are no input
  const auto error = option->Set(directive, line, draft);
  Require(!error || !error->empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("include") != std::string_view::npos) return 0;  // it would read files
  penstock::ConfigFile file;
  const auto error = penstock::ReadConfigText(text, "/nowhere/conf", 0, &file);
  Require(!error || error->starts_with("/nowhere/conf:"));
  penstock::CommandLine line;
  penstock::PolicyDraft draft;
  for (const penstock::Directive& directive : file.directives) TakeDirective(directive, line, draft);
  return 0;
}

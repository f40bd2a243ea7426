#include "penstock/config/file.h"

#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "test/support/temp_directory.h"

namespace penstock {
namespace {

ConfigFile Read(std::string_view text) {
  ConfigFile file;
  const auto error = ReadConfigText(text, "/etc/p.conf", 0, &file);
  CHECK_MESSAGE(!error, *error);
  return file;
}

std::string ErrorIn(std::string_view text) {
  ConfigFile file;
  return ReadConfigText(text, "/etc/p.conf", 0, &file).value_or("none");
}

// "NAME=VALUE WHERE" for each directive, a line each.
std::string Shown(const ConfigFile& file) {
  std::string text;
  for (const Directive& directive : file.directives) {
    text += std::string(directive.name) + "=" + std::string(directive.value) + " " + directive.where + "\n";
  }
  return text;
}

TEST_CASE("config file: a line is a name, blanks, and the value") {
  CHECK(Shown(Read("listen 0.0.0.0:1080\n")) == "listen=0.0.0.0:1080 /etc/p.conf:1: listen\n");
  CHECK(Shown(Read("\n \t\n  listen\t \t[::]:1  \nworkers 2")) ==
        "listen=[::]:1 /etc/p.conf:3: listen\nworkers=2 /etc/p.conf:4: workers\n");
  CHECK(Shown(Read("allow client 10.0.0.0/8  port 1-2\r\nworkers 2\r\n")) ==
        "allow=client 10.0.0.0/8  port 1-2 /etc/p.conf:1: allow\nworkers=2 /etc/p.conf:2: workers\n");
  CHECK(Shown(Read("listen")) == "listen= /etc/p.conf:1: listen\n");
  CHECK(Shown(Read("")).empty());
}

TEST_CASE("config file: a comment begins a line or follows a blank") {
  CHECK(Shown(Read("# listen a\n  # b\nlisten 1 # c\nlisten 2\t#c\nuser a:b#c # d\n#")) ==
        "listen=1 /etc/p.conf:3: listen\nlisten=2 /etc/p.conf:4: listen\nuser=a:b#c /etc/p.conf:5: user\n");
}

TEST_CASE("config file: a line that is no directive is an error with its place") {
  CHECK(ErrorIn("workers 2\n--listen 1\n") ==
        "/etc/p.conf:2: '--listen' is not a directive; give the name of an option, without leading dashes");
  CHECK(ErrorIn("Listen 1") ==
        "/etc/p.conf:1: 'Listen' is not a directive; give the name of an option, without leading dashes");
  CHECK(ErrorIn("alice:open-sesame").starts_with("/etc/p.conf:1: 'alice' is not a directive"));
  CHECK(ErrorIn("user=alice:open-sesame").starts_with("/etc/p.conf:1: 'user=alice' is not a directive"));
  CHECK(ErrorIn("listen=1").starts_with("/etc/p.conf:1: 'listen=1' is not a directive"));
  CHECK(ErrorIn(std::string("\n\nlisten a\0b\n", 12)) ==
        "/etc/p.conf:3: the line contains a control byte; give printable text");
  CHECK(ErrorIn("listen \x1b[2J").starts_with("/etc/p.conf:1: the line contains a control byte"));
  CHECK(ErrorIn("include") == "/etc/p.conf:1: include needs a value; give the name of a file");
}

TEST_CASE("config file: files are included at their place, by paths relative to the including file") {
  const test::TempDirectory folder;
  const test::TempDirectory other;
  const std::string main = folder.Write("main", "workers 1\ninclude more\nworkers 4\ninclude " + other.PathOf("far"));
  const std::string more = folder.Write("more", "\nworkers 2\n");
  const std::string far = other.Write("far", "include near\n");
  const std::string near = other.Write("near", "workers 5");
  ConfigFile file;
  CHECK_FALSE(ReadConfigFile(main, &file));
  CHECK(Shown(file) == "workers=1 " + main + ":1: workers\nworkers=2 " + more + ":2: workers\nworkers=4 " + main +
                           ":3: workers\nworkers=5 " + near + ":1: workers\n");
  CHECK(file.files == std::vector<std::string>{main, more, far, near});
  CHECK(PathIn(file.directives.back(), "x") == other.PathOf("x"));
  CHECK(PathIn(file.directives.back(), "/x") == "/x");
  CHECK(PathIn({}, "x") == "x");
}

TEST_CASE("config file: a pattern includes the files that it matches in order, also none") {
  const test::TempDirectory folder;
  folder.Write("b.conf", "workers 2");
  folder.Write("a.conf", "workers 1");
  folder.Write("c.off", "workers 3");
  const std::string main = folder.Write("main", "include *.conf\ninclude none-*\n");
  ConfigFile file;
  CHECK_FALSE(ReadConfigFile(main, &file));
  const std::string path = std::filesystem::path(main).parent_path();
  CHECK(file.directories == std::vector<std::string>{path, path});
  REQUIRE(file.directives.size() == 2);
  CHECK(file.directives[0].value == "1");
  CHECK(file.directives[1].value == "2");
}

TEST_CASE("config file: a pattern whose directory cannot be read is an error, not a pattern without matches") {
  const test::TempDirectory folder;
  std::filesystem::create_symlink("loop", folder.PathOf("loop"));
  const std::string file = folder.Write("file", "");
  const auto error_in = [&](const std::string& pattern) {
    ConfigFile into;
    return ReadConfigFile(folder.Write("main", "include " + pattern), &into).value_or("none");
  };
  const std::string where = folder.PathOf("main") + ":1: include: cannot read ";
  const std::string why = ": Too many levels of symbolic links";
  CHECK(error_in("loop/*.conf") == where + folder.PathOf("loop") + why);
  CHECK(error_in("*/x.conf") == where + folder.PathOf("loop") + why);
  CHECK(error_in("none/*.conf") == "none");
  CHECK(error_in("file/*.conf") == where + folder.PathOf("file") + ": Not a directory");
  CHECK(error_in("*/*.conf") == where + folder.PathOf("loop") + why);
  std::filesystem::remove(folder.PathOf("loop"));
  CHECK(error_in("*/*.conf") == "none");  // "file" is no directory, and need not be one
}

TEST_CASE("config file: a file that does not exist, or that includes itself, is an error at the line that names it") {
  const test::TempDirectory folder;
  const std::string main = folder.Write("main", "\ninclude none\n");
  ConfigFile file;
  CHECK(ReadConfigFile(main, &file) ==
        main + ":2: include: cannot read " + folder.PathOf("none") + ": No such file or directory");
  const std::string round = folder.Write("round", "include round\n");
  const auto error = ReadConfigFile(round, &file);
  REQUIRE(error);
  CHECK(*error == round + ":1: include: 'round' is nested more than 16 files deep; does a file include itself?");
  CHECK(ReadConfigFile(folder.PathOf("none"), &file) ==
        "cannot read " + folder.PathOf("none") + ": No such file or directory");
}

TEST_CASE("config file: more than 1,024 files are an error") {
  const test::TempDirectory folder;
  std::string text;
  for (int i = 0; i < 40; ++i) text += "include more\n";
  const std::string main = folder.Write("main", text);
  folder.Write("more", "include leaf*\n");
  for (int i = 0; i < 40; ++i) folder.Write("leaf" + std::to_string(i), "# nothing\n");
  ConfigFile file;
  const auto error = ReadConfigFile(main, &file);
  REQUIRE(error);
  CHECK(error->find("there are more than 1024 configuration files") != std::string::npos);
}

}  // namespace
}  // namespace penstock

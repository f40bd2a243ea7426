#include "penstock/file.h"

#include <sys/stat.h>

#include <string>

#include <doctest/doctest.h>

#include "test/support/temp_directory.h"

namespace penstock {

TEST_CASE("a file is read whole, up to a bound") {
  const test::TempDirectory directory;
  const std::string text(100'000, 'x');
  const std::string path = directory.Write("file", text);
  CHECK(ReadFile(path, text.size()) == text);
  std::string error;
  CHECK_FALSE(ReadFile(path, text.size() - 1, &error));
  CHECK(error == "cannot read " + path + ": it is longer than 99999 bytes");
  CHECK(ReadFile(directory.Write("empty", ""), 0) == "");
}

TEST_CASE("what cannot be read says why, and does not block") {
  const test::TempDirectory directory;
  std::string error;
  CHECK_FALSE(ReadFile(directory.PathOf("missing"), 10, &error));
  CHECK(error.ends_with("missing: No such file or directory"));
  CHECK_FALSE(ReadFile(directory.PathOf(""), 10, &error));
  CHECK(error.ends_with("Is a directory"));

  const std::string fifo = directory.PathOf("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(ReadFile(fifo, 10).value_or("").empty());
}

TEST_CASE("a stamp changes with the file") {
  const test::TempDirectory directory;
  const FileStamp missing = StampOf(directory.PathOf("file"));
  CHECK(missing == FileStamp{});
  const std::string path = directory.Write("file", "one");
  const FileStamp first = StampOf(path);
  CHECK_FALSE(first == missing);
  CHECK(StampOf(path) == first);
  directory.Write("file", "two");  // another inode, however fast
  CHECK_FALSE(StampOf(path) == first);
}

}  // namespace penstock

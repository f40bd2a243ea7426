#include "penstock/os/file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "test/support/temp_directory.h"

namespace penstock {

TEST_CASE("file: a file is read whole, up to the limit") {
  const test::TempDirectory directory;
  const std::string text(100'000, 'x');
  const std::string path = directory.Write("file", text);
  CHECK(ReadFile(path, text.size()) == text);
  std::string error;
  CHECK_FALSE(ReadFile(path, text.size() - 1, &error));
  CHECK(error == "cannot read " + path + ": it is longer than 99999 bytes");
  CHECK(ReadFile(directory.Write("empty", ""), 0) == "");
}

TEST_CASE("file: a file that cannot be read gives a reason and does not block") {
  const test::TempDirectory directory;
  std::string error;
  CHECK_FALSE(ReadFile(directory.PathOf("missing"), 10, &error));
  CHECK(error.ends_with("missing: No such file or directory"));
  CHECK_FALSE(ReadFile(directory.PathOf(""), 10, &error));
  CHECK(error.ends_with("Is a directory"));

  const std::string fifo = directory.PathOf("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_FALSE(ReadFile(fifo, 10, &error));
  CHECK(error.ends_with("it is a pipe, and could not be read again; give a file"));
}

TEST_CASE("file: a private file is readable and writable by its owner alone") {
  const test::TempDirectory directory;
  const std::string path = directory.Write("private", "open-sesame");
  std::string error;
  for (const mode_t mode : {0600U, 0400U, 0700U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CAPTURE(mode);
    const auto text = ReadPrivateFile(path, 11, &error);
    REQUIRE(text);
    CHECK(text->Reveal() == "open-sesame");
  }
  for (const mode_t mode : {0644U, 0640U, 0604U, 0620U, 0602U, 0610U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CAPTURE(mode);
    CHECK_FALSE(ReadPrivateFile(path, 11, &error));
    CHECK(error ==
          "cannot read " + path + ": others than its owner may read or change it; mend that with: chmod 600 " + path);
  }
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  CHECK_FALSE(ReadPrivateFile(path, 10, &error));
  CHECK(error.ends_with("it is longer than 10 bytes"));

  // A link is as private as what it leads to.
  const std::string link = directory.PathOf("link");
  REQUIRE(::symlink(path.c_str(), link.c_str()) == 0);
  CHECK(ReadPrivateFile(link, 11, &error));
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  CHECK_FALSE(ReadPrivateFile(link, 11, &error));
}

TEST_CASE("file: a private file is a regular file") {
  const test::TempDirectory directory;
  std::string error;
  CHECK_FALSE(ReadPrivateFile(directory.PathOf("missing"), 10, &error));
  CHECK(error.ends_with("missing: No such file or directory"));
  for (const std::string& path : {directory.PathOf(""), std::string("/dev/null")}) {
    CHECK_FALSE(ReadPrivateFile(path, 10, &error));
    CHECK(error == "cannot read " + path + ": it is no regular file");
  }
  const std::string fifo = directory.PathOf("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_FALSE(ReadPrivateFile(fifo, 10, &error));
  CHECK(error.ends_with("it is no regular file"));
}

TEST_CASE("file: a file is replaced whole, for its owner alone, and the one before is kept") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("state");
  const std::string backup = directory.PathOf("state.old");
  CHECK_FALSE(ReplaceFile(path, backup, "one"));
  CHECK(ReadFile(path, 10) == "one");
  bool missing = false;
  CHECK_FALSE(ReadFile(backup, 10, nullptr, &missing));
  CHECK(missing);
  for (const std::string_view text : {"two", "three"}) CHECK_FALSE(ReplaceFile(path, backup, text));
  CHECK(ReadFile(path, 10) == "three");
  CHECK(ReadFile(backup, 10) == "two");
  CHECK(ReadPrivateFile(path, 10, nullptr));
  CHECK_FALSE(ReadFile(path + ".new", 10));

  CHECK_FALSE(RenameFile(path, directory.PathOf("aside")));
  CHECK(ReadFile(directory.PathOf("aside"), 10) == "three");
  CHECK_FALSE(ReplaceFile(path, backup, "four"));  // there is nothing to keep: the backup stays
  CHECK(ReadFile(backup, 10) == "two");
  REQUIRE(std::filesystem::remove(path));
  const std::string absent = directory.PathOf("absent/state");
  CHECK(ReplaceFile(absent, backup, "x") == "cannot write " + absent + ".new: No such file or directory");
  CHECK(RenameFile(path, absent) == "cannot rename " + path + ": No such file or directory");
}

TEST_CASE("file: a directory is locked by one process at a time, until the descriptor is closed") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("");
  std::string error;
  Fd first = LockFolder(path, &error);
  CHECK(first.valid());
  CHECK_FALSE(LockFolder(path, &error).valid());
  CHECK(error == "another process uses " + path);
  first.Close();
  CHECK(LockFolder(path, &error).valid());
  CHECK_FALSE(LockFolder(path + "absent", &error).valid());
  CHECK(error == "cannot use " + path + "absent: No such file or directory");
}

TEST_CASE("file: a directory is exposed if others may write to it, or if it belongs to another user") {
  const test::TempDirectory directory;
  const std::string path = directory.PathOf("");
  std::string error;
  const Fd folder = LockFolder(path, &error);
  REQUIRE(folder.valid());
  CHECK(ExposureOf(folder) == std::nullopt);
  for (const mode_t mode : {0720U, 0702U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(ExposureOf(folder) == "others than its owner may write to it");
  }
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
  CHECK(ExposureOf(folder) == std::nullopt);
  if (::chown(path.c_str(), 65'534, 65'534) == 0 && ::geteuid() == 0) {
    CHECK(ExposureOf(folder) == "it belongs to another user");
  }
}

TEST_CASE("file: the stamp changes when the file does") {
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

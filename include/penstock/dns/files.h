// The host's two files about names: resolv.conf(5) and hosts(5).
// Plain values, and a NameFiles, owned by the server: its own thread watches the files, any thread may call text(). No
// worker waits for a disk or for the parsing of a long file.
// Invariant: files are parsed line by line, and an invalid line is skipped. A missing file counts as empty. A file that
// cannot be read or is too long leaves the previous contents in force and is retried. No other source is used: not the
// environment, not the host's own name.
// Does not: read nsswitch.conf(5), or those options of resolv.conf that concern the internals of glibc.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/names.h"
#include "penstock/base/shared_box.h"
#include "penstock/os/file.h"
#include "penstock/os/thread.h"

namespace penstock {

struct ResolvConf {
  // In the order of the file; 127.0.0.1 if it has none. A line is an address as in resolv.conf(5), with an optional
  // %scope, or an address with a port: "nameserver 127.0.0.1:5353", "nameserver [::1]:5353".
  std::vector<Endpoint> servers;
  std::vector<std::string> search;  // lower case, no final dot; the last `search` or `domain` line
  std::chrono::seconds timeout{5};  // 1 to 30
  int attempts = 2;                 // 1 to 5
  std::size_t ndots = 1;            // 0 to 15
  bool rotate = false;

  bool operator==(const ResolvConf&) const = default;
};

ResolvConf ParseResolvConf(std::string_view text);

class Hosts {
 public:
  Hosts() = default;

  // Parses hosts(5); at most 4 GiB of text.
  explicit Hosts(std::string text);

  // The addresses of `name` (in the form of NameText); nothing if the file does not have it.
  std::optional<NameAnswer> Find(std::string_view name) const;

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint32_t offset;  // where the name begins in text_
    std::uint32_t bytes;
    IpAddress address;
  };

  std::string_view NameOf(const Entry& entry) const;
  void AddLine(std::string_view line);

  std::string text_;
  std::vector<Entry> entries_;  // sorted by name; equal names in the order of the file
};

// The contents of both files, parsed once and shared by all workers.
struct NameFilesText {
  ResolvConf resolv_conf = ParseResolvConf("");
  Hosts hosts;
};

class NameFiles {
 public:
  // Reads both files. The paths are absolute, or relative to the working directory.
  NameFiles(std::string resolv_conf, std::string hosts_file);

  // The current contents.
  const SharedBox<NameFilesText>& text() const { return text_; }

  // Reads again the files that have changed. One thread at a time.
  void Refresh();

  // Calls Refresh() every kNameFilesInterval until Stop() is called.
  void Run();
  void Stop() { stop_.Raise(); }

 private:
  struct Watched {
    std::string path;
    FileStamp stamp{};
  };

  static std::optional<std::string> ReadChanged(Watched& file, std::size_t bytes_max);

  // Used only by the thread that calls Refresh().
  Watched resolv_conf_file_;
  Watched hosts_file_;

  StopRequest stop_;
  SharedBox<NameFilesText> text_;
};

}  // namespace penstock

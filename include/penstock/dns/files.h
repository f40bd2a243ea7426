// The two files of this host that say how names are looked up: resolv.conf(5) and hosts(5).
// Plain values, and a NameFiles that is owned by the server: one thread looks for changes, any thread takes what there
// is. No worker waits for a disk, or for the parsing of a long file.
// Invariant: what a file says is taken line by line; a line that makes no sense is skipped. A file that does not exist
// counts as empty. One that cannot be read, or is too long, leaves what was known, and is tried again. Nothing else is
// trusted: not the environment, not the host's own name.
// Deliberately not here: nsswitch.conf(5), and the options of resolv.conf that are about glibc's own workings.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <semaphore>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/base/limits.h"
#include "penstock/base/shared_box.h"
#include "penstock/dns/cache.h"
#include "penstock/os/file.h"

namespace penstock {

struct ResolvConf {
  // In the order of the file; 127.0.0.1 when it names none. Besides the bare address of resolv.conf(5) (with %scope), a
  // line may give the port too: "nameserver 127.0.0.1:5353", "nameserver [::1]:5353".
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

  // At most 4 GiB of text.
  explicit Hosts(std::string text);

  // What the file says of `name` (NameText); nothing when it does not know it.
  std::optional<NameAnswer> Find(std::string_view name) const;

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint32_t offset;  // of the name in text_
    std::uint32_t bytes;
    IpAddress address;
  };

  std::string_view NameOf(const Entry& entry) const;
  void AddLine(std::string_view line);

  std::string text_;
  std::vector<Entry> entries_;  // by name; those of one name in the order of the file
};

// What both files say: read once for all workers, which share it.
struct NameFilesText {
  ResolvConf resolv_conf = ParseResolvConf("");
  Hosts hosts;
};

class NameFiles {
 public:
  // Reads both files.
  NameFiles(std::string resolv_conf, std::string hosts_file);

  // What they say now.
  const SharedBox<NameFilesText>& text() const { return text_; }

  // Reads again what has changed. One thread at a time.
  void Look();

  // Looks once every kNameFilesInterval, until Stop is called.
  void Run();
  void Stop() { stop_.release(); }

 private:
  struct Watched {
    std::string path;
    FileStamp stamp{};
  };

  static std::optional<std::string> ReadChanged(Watched& file, std::size_t bytes_max);

  // Of the thread that looks.
  Watched resolv_conf_file_;
  Watched hosts_file_;

  std::binary_semaphore stop_{0};
  SharedBox<NameFilesText> text_;
};

}  // namespace penstock

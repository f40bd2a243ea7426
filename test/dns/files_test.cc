#include "penstock/dns/files.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "test/support/dns_answer.h"
#include "test/support/temp_directory.h"
#include "test/support/wait.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;

std::vector<std::string> Servers(std::string_view text) {
  std::vector<std::string> servers;
  for (const Endpoint& server : ParseResolvConf(text).servers) servers.push_back(server.ToString());
  return servers;
}

std::vector<std::string> AddressesOf(const Hosts& hosts, std::string_view name) {
  std::vector<std::string> addresses;
  const auto answer = hosts.Find(name);
  if (!answer) return addresses;
  for (const IpAddress& address : answer->list()) addresses.push_back(address.ToString());
  return addresses;
}

using test::Strings;

}  // namespace

TEST_CASE("resolv.conf: name servers") {
  CHECK(Servers("") == Strings{"127.0.0.1:53"});
  CHECK(Servers("nameserver\nnameserver example\nnameserver 1.2.3\n") == Strings{"127.0.0.1:53"});
  CHECK(Servers("nameserver 192.0.2.1") == Strings{"192.0.2.1:53"});
  CHECK(Servers("nameserver\t192.0.2.1 # the old one\r\nnameserver 2001:db8::1\n") ==
        Strings{"192.0.2.1:53", "[2001:db8::1]:53"});
  CHECK(Servers("nameserver 192.0.2.1:5353\nnameserver [2001:db8::1]:5353") ==
        Strings{"192.0.2.1:5353", "[2001:db8::1]:5353"});
  CHECK(Servers("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n").size() ==
        3);
  CHECK(Servers("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nnameserver 192.0.2.3") == Strings{"192.0.2.3:53"});
  CHECK(Servers("nameserver 192.0.2.1:99999") == Strings{"127.0.0.1:53"});

  const ResolvConf scoped = ParseResolvConf("nameserver fe80::1%lo");
  REQUIRE(scoped.servers.size() == 1);
  CHECK(scoped.servers[0].scope == 1);
  CHECK(scoped.servers[0].port == 53);
}

TEST_CASE("resolv.conf: the last search or domain line wins") {
  const auto search = [](std::string_view text) { return ParseResolvConf(text).search; };
  CHECK(search("") == Strings{});
  CHECK(search("search a.example B.example.") == Strings{"a.example", "b.example"});
  CHECK(search("domain a.example b.example") == Strings{"a.example"});
  CHECK(search("search a.example\ndomain b.example") == Strings{"b.example"});
  CHECK(search("domain a.example\nsearch b.example c.example") == Strings{"b.example", "c.example"});
  CHECK(search("search a.example\nsearch") == Strings{});
  CHECK(search("search . a..example a.example ; rest") == Strings{"a.example"});
  std::string many = "search";
  for (int number = 0; number < 100; ++number) many += " d" + std::to_string(number);
  CHECK(search(many).size() == kSearchMax);
}

TEST_CASE("resolv.conf: options are bounded, unknown options ignored") {
  const ResolvConf none =
      ParseResolvConf("options edns0 trust-ad timeout: attempts:x ndots:-1 rotation\noption rotate");
  CHECK(none == ParseResolvConf(""));
  CHECK(none.timeout == 5s);
  CHECK(none.attempts == 2);
  CHECK(none.ndots == 1);
  CHECK_FALSE(none.rotate);
  const ResolvConf some = ParseResolvConf("options timeout:3 attempts:4 ndots:0\noptions rotate");
  CHECK(some.timeout == 3s);
  CHECK(some.attempts == 4);
  CHECK(some.ndots == 0);
  CHECK(some.rotate);
  const ResolvConf high = ParseResolvConf("options timeout:999 attempts:99999999999999999999999 ndots:16");
  CHECK(high.timeout == 30s);
  CHECK(high.attempts == 5);
  CHECK(high.ndots == 15);
  const ResolvConf low = ParseResolvConf("options timeout:0 attempts:0");
  CHECK(low.timeout == 1s);
  CHECK(low.attempts == 1);
}

TEST_CASE("hosts: lines of one name, in any case, add up") {
  const Hosts hosts(
      "# comment\n"
      "192.0.2.1\twww.example  WWW alias # another comment\r\n"
      "2001:db8::1 www.EXAMPLE\n"
      "192.0.2.2 www.example. www.example\n"
      "192.0.2.1 www.example\n"
      "not-an-address www\n"
      "192.0.2.9\n"
      "fe80::1%lo0 localhost\n"
      "192.0.2.3 last");
  CHECK(AddressesOf(hosts, "www.example") == Strings{"2001:db8::1", "192.0.2.1", "192.0.2.2"});
  CHECK(AddressesOf(hosts, "www") == Strings{"192.0.2.1"});
  CHECK(AddressesOf(hosts, "alias") == Strings{"192.0.2.1"});
  CHECK(AddressesOf(hosts, "last") == Strings{"192.0.2.3"});
  for (const char* unknown : {"", "localhost", "example", "ww", "wwww", "another", "192.0.2.9"}) {
    CAPTURE(unknown);
    CHECK_FALSE(hosts.Find(unknown).has_value());
  }
  CHECK_FALSE(Hosts().Find("www").has_value());
}

TEST_CASE("hosts: a name with many addresses keeps addresses of both families") {
  std::string text;
  for (int number = 1; number < 100; ++number) {
    text += "192.0.2." + std::to_string(number) + " many\n2001:db8::" + std::to_string(number) + " many\n";
  }
  const auto answer = Hosts(text).Find("many");
  REQUIRE(answer);
  CHECK(answer->count == kAddressesPerName);
  CHECK_FALSE(answer->addresses[kAddressesPerName / 2 - 1].is_v4());
  CHECK(answer->addresses[kAddressesPerName / 2].is_v4());
}

TEST_CASE("a changed file is read again") {
  const test::TempDirectory directory;
  const std::string resolv_conf = directory.Write("resolv.conf", "nameserver 192.0.2.1");
  const std::string hosts = directory.Write("hosts", "192.0.2.1 www");
  NameFiles files(resolv_conf, hosts);
  const auto first = files.text().Take();
  CHECK(AddressesOf(first->hosts, "www") == Strings{"192.0.2.1"});

  files.Refresh();
  CHECK(files.text().Take() == first);

  directory.Write("hosts", "192.0.2.2 www");
  directory.Write("resolv.conf", "nameserver 192.0.2.2");
  CHECK(files.text().Take() == first);
  const std::uint32_t generation = files.text().generation();
  files.Refresh();
  CHECK(files.text().generation() != generation);
  CHECK(AddressesOf(files.text().Take()->hosts, "www") == Strings{"192.0.2.2"});
  CHECK(files.text().Take()->resolv_conf.servers[0].ToString() == "192.0.2.2:53");
  CHECK(AddressesOf(first->hosts, "www") == Strings{"192.0.2.1"});  // for whoever still holds it

  std::filesystem::remove(hosts);
  std::filesystem::remove(resolv_conf);
  files.Refresh();
  CHECK(files.text().Take()->hosts.size() == 0);
  CHECK(files.text().Take()->resolv_conf == ParseResolvConf(""));

  directory.Write("hosts", "192.0.2.3 www");
  files.Refresh();
  CHECK(AddressesOf(files.text().Take()->hosts, "www") == Strings{"192.0.2.3"});
}

TEST_CASE("an unreadable file leaves its previous contents in force and is retried") {
  const test::TempDirectory directory;
  const std::string path = directory.Write("hosts", "192.0.2.1 www");
  NameFiles files("/dev/null", path);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);  // EISDIR, for root as well
  files.Refresh();
  CHECK(AddressesOf(files.text().Take()->hosts, "www") == Strings{"192.0.2.1"});
  std::filesystem::remove(path);
  std::filesystem::create_symlink(path, path);  // ELOOP
  files.Refresh();
  CHECK(AddressesOf(files.text().Take()->hosts, "www") == Strings{"192.0.2.1"});
  std::filesystem::remove(path);
  directory.Write("hosts", "192.0.2.2 www");
  files.Refresh();
  CHECK(AddressesOf(files.text().Take()->hosts, "www") == Strings{"192.0.2.2"});
  directory.Write("hosts", std::string(kHostsBytesMax + 1, '#'));
  files.Refresh();
  CHECK(AddressesOf(files.text().Take()->hosts, "www") == Strings{"192.0.2.2"});
}

TEST_CASE("Run() picks up changes until Stop()") {
  const test::TempDirectory directory;
  const std::string hosts = directory.Write("hosts", "192.0.2.1 www");
  NameFiles files("/dev/null", hosts);
  std::thread looking([&] { files.Run(); });
  directory.Write("hosts", "192.0.2.2 www");
  CHECK(test::WaitUntil([&] { return AddressesOf(files.text().Take()->hosts, "www") == Strings{"192.0.2.2"}; }));
  files.Stop();
  looking.join();
}

TEST_CASE("at start a missing or overlong file counts as empty") {
  const test::TempDirectory directory;
  const std::string long_one = directory.Write("long", std::string(kResolvConfBytesMax + 1, '#') + "\nsearch a");
  const NameFiles files(long_one, directory.PathOf("missing"));
  CHECK(files.text().Take()->resolv_conf == ParseResolvConf(""));
  CHECK(files.text().Take()->hosts.size() == 0);
}

}  // namespace penstock

#include "penstock/policy/rule_text.h"

#include <ctime>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "test/support/temp_directory.h"

namespace penstock {
namespace {

// Parses the text of a rule, which must be valid.
ParsedRule Rule(std::string_view text, std::initializer_list<std::string_view> sets = {}) {
  RuleText all;
  for (const std::string_view set : sets) REQUIRE(all.AddSet(set).value_or("") == "");
  CAPTURE(text);
  REQUIRE(all.AddRule(true, text, "here:1").value_or("") == "");
  return all.rules().at(0);
}

TEST_CASE("rule text: a rule without conditions matches everything") {
  for (const std::string_view text : {"", " ", "\t\r\n"}) {
    const ParsedRule rule = Rule(text);
    CHECK(rule.allows);
    CHECK(rule.where == "here:1");
    CHECK_FALSE(rule.client);
    CHECK_FALSE(rule.target);
    CHECK(rule.users.empty());
    CHECK(rule.ports.empty());
    CHECK(rule.commands == kAllCommands);
    CHECK_FALSE(rule.source.named());
  }
}

TEST_CASE("rule text: conditions may stand in any order, with blanks around commas") {
  for (const std::string_view text : {
           "client 10.0.0.0/8,192.0.2.1,loopback user alice,bob command connect,udp-associate target "
           "2001:db8::/32,example.com,"
           ".example.org,private,printer. port 443,8000-8999 source 192.0.2.9,2001:db8::9 source-interface eth0",
           "  source-interface\teth0 source 192.0.2.9 ,2001:db8::9 port 443, 8000-8999 target 2001:db8::/32 , "
           "example.com,"
           "\t.example.org,private,  printer.  command connect, udp user alice, bob client 10.0.0.0/8,192.0.2.1, "
           "loopback ",
       }) {
    const ParsedRule rule = Rule(text);
    REQUIRE(rule.client);
    CHECK(rule.client->blocks == std::vector{*Prefix::Parse("10.0.0.0/8"), *Prefix::Parse("192.0.2.1")});
    CHECK(rule.client->sets.size() == 1);
    CHECK(rule.client->domains.empty());
    CHECK(rule.users == std::vector<std::string>{"alice", "bob"});
    CHECK(rule.commands == (CommandBit(Command::kConnect) | CommandBit(Command::kUdpAssociate)));
    REQUIRE(rule.target);
    CHECK(rule.target->blocks == std::vector{*Prefix::Parse("2001:db8::/32")});
    CHECK(rule.target->domains ==
          std::vector{Domain{"example.com", false}, Domain{"example.org", true}, Domain{"printer", false}});
    CHECK(rule.target->sets.size() == 1);
    CHECK(rule.ports == std::vector{PortRange{443, 443}, PortRange{8000, 8999}});
    CHECK(rule.source == Source{IpAddress::Parse("192.0.2.9"), IpAddress::Parse("2001:db8::9"), "eth0"});
  }
  CHECK(Rule("command bind").commands == CommandBit(Command::kBind));
  CHECK(Rule("command udp").commands == CommandBit(Command::kUdpAssociate));
  CHECK(Rule("port 1-65535").ports == std::vector{PortRange{1, 65535}});
  CHECK(Rule("user client").users == std::vector<std::string>{"client"});  // a word behind a keyword is a value
}

TEST_CASE("rule text: an error names the word and what is accepted, and changes nothing") {
  const struct {
    std::string_view text, error;
  } bad[] = {
      {"tagret 10.0.0.1", "'tagret' is not accepted; did you mean target?"},
      {"clients 10.0.0.1", "'clients' is not accepted; did you mean client?"},
      {"all", "'all' is not accepted; give client, user, command, target, port, source or source-interface"},
      {"10.0.0.1", "'10.0.0.1' is not accepted; give client, user, command, target, port, source or source-interface"},
      {", port 1", "',' is not accepted; give client, user, command, target, port, source or source-interface"},
      {"target any extra",
       "'extra' is not accepted; give client, user, command, target, port, source or source-interface"},
      {"port 1 target any port 2", "port is given twice; give it once, with commas between its values"},

      {"target", "target: unexpected end; give an address, a block such as 10.0.0.0/8, a name, or a set"},
      {"target any,", "target: unexpected end; give an address, a block such as 10.0.0.0/8, a name, or a set"},
      {"target ,any", "target: ',' is not accepted; give an address, a block such as 10.0.0.0/8, a name, or a set"},
      {"target any,,private",
       "target: ',' is not accepted; give an address, a block such as 10.0.0.0/8, a name, or a set"},
      {"target 10.1.2.3/8",
       "target: '10.1.2.3/8' is not accepted; give 10.0.0.0/8, or 10.1.2.3 for that address alone"},
      {"target 10.0.0.0/33", "target: '10.0.0.0/33' is not accepted; give a length from 0 to 32, such as 10.0.0.0/8"},
      {"target 10.0.0",
       "target: '10.0.0' is not accepted; give a whole address such as 192.0.2.1, or a block such as 10.0.0.0/8"},
      {"target *.example.com",
       "target: '*.example.com' is not accepted; give .example.com, which is that name and all names below it"},
      {"target [::1]",
       "target: '[::1]' is not accepted; give an address such as 192.0.2.1 or 2001:db8::1, or a block such as "
       "10.0.0.0/8 "
       "or 2001:db8::/32"},
      {"target http://example.com/",
       "target: 'http://example.com/' is not accepted; give an address such as 192.0.2.1 or 2001:db8::1, or a block "
       "such "
       "as 10.0.0.0/8 or 2001:db8::/32"},
      {"target lopback",
       "target: unknown set 'lopback'; did you mean loopback, or the host name 'lopback.', which needs its final dot?"},
      {"target printer",
       "target: unknown set 'printer'; define a set before it is used, or write a host name without dots with "
       "a final one: 'printer.'"},
      {"target pri*nter", "target: unknown set 'pri*nter'; define a set before it is used"},

      {"client example.com",
       "client: 'example.com' is not accepted; give an address, a block such as 10.0.0.0/8, or a set: a client is "
       "matched by its address"},
      {"client lopback", "client: unknown set 'lopback'; did you mean loopback?"},
      {"client office", "client: unknown set 'office'; define a set before it is used"},
      {"client", "client: unexpected end; give an address, a block such as 10.0.0.0/8, or a set"},

      {"command conect", "command: 'conect' is not accepted; did you mean connect?"},
      {"command associate", "command: 'associate' is not accepted; did you mean udp-associate?"},
      {"command relay", "command: 'relay' is not accepted; give connect, bind or udp-associate"},
      {"command", "command: unexpected end; give connect, bind or udp-associate"},

      {"port 0", "port: '0' is not accepted; give a port such as 443, or a range such as 8000-8999"},
      {"port 65536", "port: '65536' is not accepted; give a port such as 443, or a range such as 8000-8999"},
      {"port 9-8", "port: '9-8' is not accepted; give a port such as 443, or a range such as 8000-8999"},
      {"port 1-", "port: '1-' is not accepted; give a port such as 443, or a range such as 8000-8999"},
      {"port -1", "port: '-1' is not accepted; give a port such as 443, or a range such as 8000-8999"},
      {"port 1 - 2", "'-' is not accepted; give client, user, command, target, port, source or source-interface"},
      {"port https", "port: 'https' is not accepted; give a port such as 443, or a range such as 8000-8999"},
      {"port", "port: unexpected end; give a port such as 443"},
      {"user", "user: unexpected end; give the name of a user"},

      {"source eth0", "source: 'eth0' is not accepted; give an address of this host such as 192.0.2.1 or 2001:db8::1"},
      {"source 10.0.0.0/8",
       "source: '10.0.0.0/8' is not accepted; give an address of this host such as 192.0.2.1 or 2001:db8::1"},
      {"source 0.0.0.0",
       "source: '0.0.0.0' is not accepted; give an address of this host such as 192.0.2.1 or 2001:db8::1"},
      {"source 192.0.2.1,192.0.2.2",
       "source: '192.0.2.2' is not accepted; give one source address of each family at most"},
      {"source", "source: unexpected end; give an address of this host"},
      {"source-interface",
       "source-interface: '' is not accepted; give the name of a network interface, of at most 15 bytes"},
      {"source-interface sixteen-letters0",
       "source-interface: 'sixteen-letters0' is not accepted; give the name of a network interface, of at most 15 "
       "bytes"},
      {"source-interface a/b",
       "source-interface: 'a/b' is not accepted; give the name of a network interface, of at most 15 bytes"},
      {"source-interface ..",
       "source-interface: '..' is not accepted; give the name of a network interface, of at most 15 bytes"},
  };
  RuleText all;
  for (const auto& row : bad) {
    CAPTURE(row.text);
    CHECK(all.AddRule(true, row.text, "here").value_or("") == row.error);
  }
  CHECK(all.AddRule(false, "source 192.0.2.1", "here") == "a deny rule cannot have a source; give it in an allow rule");
  CHECK(all.AddRule(false, "source-interface eth0", "here"));
  CHECK(all.rules().empty());
  CHECK_FALSE(all.AddRule(true, "source-interface fifteen-letters", "here"));
}

TEST_CASE("rule text: a set has the items that it is given, and may contain other sets") {
  RuleText all;
  CHECK_FALSE(all.AddSet("office 10.0.0.0/8 2001:db8::1"));
  CHECK_FALSE(all.AddSet("sites office, .example.com,example.org  private"));
  CHECK_FALSE(all.AddSet("office 192.0.2.0/24"));  // grows, and so does the set that contains it
  CHECK_FALSE(all.AddSet("office sites"));         // circular: the same set with two names
  CHECK_FALSE(all.AddRule(true, "target sites", ""));
  const auto within = all.SetsWithin(*all.rules()[0].target);
  REQUIRE(within.size() == 3);  // private, office, sites
  CHECK(all.sets()[within[1]].blocks.size() == 3);
  CHECK(all.sets()[within[2]].domains.size() == 2);
}

TEST_CASE("rule text: an error in a set names the word and what is accepted") {
  RuleText all;
  REQUIRE_FALSE(all.AddSet("office 10.0.0.0/8"));
  REQUIRE_FALSE(all.AddSet("sites .example.com"));
  const struct {
    std::string_view text, error;
  } bad[] = {
      {"", "set: '' is not accepted; give a name of letters, digits, '-' and '_'"},
      {"10 10.0.0.1", "set: '10' is not accepted; give a name of letters, digits, '-' and '_'"},
      {"a.b 10.0.0.1", "set: 'a.b' is not accepted; give a name of letters, digits, '-' and '_'"},
      {"private 10.0.0.1", "set: 'private' is predefined and cannot be changed; give another name"},
      {"new", "set new is empty; give an address, a block, a name or a set"},
      {"new 10.0.0.1/8", "set new: '10.0.0.1/8' is not accepted; give 10.0.0.0/8, or 10.0.0.1 for that address alone"},
      {"new 10.0.0.1 ofice",
       "set new: unknown set 'ofice'; did you mean office, or the host name 'ofice.', which needs its final dot?"},
      {"new new",
       "set new: unknown set 'new'; define a set before it is used, or write a host name without dots with a final "
       "one: 'new.'"},
      {"new ,", "set new: ',' is not accepted; give an address, a block, a name or a set"},
  };
  for (const auto& row : bad) {
    CAPTURE(row.text);
    CHECK(all.AddSet(row.text).value_or("") == row.error);
  }
  CHECK(all.AddRule(true, "target new", ""));  // the set does not exist
}

TEST_CASE("rule text: a set for clients cannot contain names") {
  RuleText all;
  REQUIRE_FALSE(all.AddSet("inner .example.com"));
  REQUIRE_FALSE(all.AddSet("outer inner 10.0.0.1"));
  CHECK(all.AddRule(true, "client outer", "") ==
        "client: 'outer' is not accepted; give a set without names: a client is matched by its address");
  REQUIRE_FALSE(all.AddSet("base 10.0.0.1"));
  REQUIRE_FALSE(all.AddSet("clients base"));
  REQUIRE_FALSE(all.AddRule(true, "client clients", ""));
  for (const std::string_view set : {"base .example.com", "clients inner", "base outer"}) {
    CAPTURE(set);
    CHECK(all.AddSet(set).value_or("").ends_with(
        " is used for clients and cannot contain names: a client is matched by its address"));
  }
  CHECK_FALSE(all.AddSet("base 10.0.0.2"));
}

TEST_CASE("rule text: a set can be read from a file") {
  const test::TempDirectory directory;
  const std::string path = directory.Write("list",
                                           "# blocked\n\n10.0.0.0/8\r\n .example.com  # all of it\n"
                                           "\t2001:db8::/32\nprivate\nexample.org");
  RuleText all;
  CHECK(all.AddSetFile("blocked", path).value_or("") == "");
  REQUIRE_FALSE(all.AddRule(false, "target blocked", ""));
  const RuleItems& set = all.sets().back();
  CHECK(set.blocks.size() == 2);
  CHECK(set.domains.size() == 2);
  CHECK(set.sets.size() == 1);
  CHECK_FALSE(all.AddSetFile("blocked", directory.Write("more", "192.0.2.1\n")));
  CHECK(all.sets().back().blocks.size() == 3);
  CHECK_FALSE(all.AddSetFile("none", directory.Write("empty file", "\n# nothing\n")));  // and a blank in its path
  CHECK_FALSE(all.AddRule(false, "target none", ""));
}

TEST_CASE("rule text: the time for a long set is linear in its length") {
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "host-" + std::to_string(i) + ".example.com\n";
  std::string words = "written";
  for (int i = 0; i < 20'000; ++i) words += " 192.0.2.1";
  const test::TempDirectory directory;
  const std::string path = directory.Write("list", lines);
  // CPU time, with a wide margin for sanitizers: without them it is 0.1 s. Quadratic, it would be minutes.
  const std::clock_t begun = std::clock();
  RuleText all;
  REQUIRE_FALSE(all.AddSetFile("read", path));
  CHECK(all.sets().back().domains.size() == 100'000);
  REQUIRE_FALSE(all.AddSet(words));
  CHECK(all.sets().back().blocks.size() == 20'000);
  CHECK((std::clock() - begun) / CLOCKS_PER_SEC < 10);
}

TEST_CASE("rule text: an error in the file of a set names file and line, and nothing of the file is added") {
  const test::TempDirectory directory;
  RuleText all;
  const auto error = [&](std::string_view content) {
    const std::string path = directory.Write("list", content);
    const std::string found = all.AddSetFile("new", path).value_or("");
    CHECK(found.starts_with(path));
    return found.substr(std::min(path.size(), found.size()));
  };
  CHECK(error("10.0.0.1\n\n10.0.0.1/8\n") ==
        ":3: '10.0.0.1/8' is not accepted; give 10.0.0.0/8, or 10.0.0.1 for that address alone");
  CHECK(error("0.0.0.0 ads.example.com").starts_with(":1: '0.0.0.0 ads.example.com' is not accepted; give a name"));
  CHECK(error("a.example, b.example").starts_with(":1: 'a.example, b.example' is not accepted"));
  CHECK(error("lopback").starts_with(":1: unknown set 'lopback'; did you mean loopback"));
  CHECK(all.AddRule(true, "target new", ""));

  CHECK(all.AddSetFile("new", directory.PathOf("missing")) ==
        "cannot read " + directory.PathOf("missing") + ": No such file or directory");
  CHECK(all.AddSetFile("new", {}) == "set-file new has no file; give its path");
  CHECK(all.AddSetFile("any", directory.PathOf("list")) ==
        "set: 'any' is predefined and cannot be changed; give another name");
}

}  // namespace
}  // namespace penstock

#include "penstock/policy/rules.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

using Answer = RuleVerdict::Answer;

// Compiles lines as in a configuration file: allow, deny and set.
RuleSet Compile(const std::vector<std::string>& lines) {
  RuleText text;
  int number = 0;
  for (const std::string& line : lines) {
    const std::string where = "test.conf:" + std::to_string(++number);
    const std::size_t blank = std::min(line.find(' '), line.size());
    const std::string word = line.substr(0, blank);
    const auto error =
        word == "set" ? text.AddSet(line.substr(blank)) : text.AddRule(word == "allow", line.substr(blank), where);
    REQUIRE_MESSAGE(!error, error.value_or(""));
  }
  return RuleSet(text);
}

struct Question {
  std::string client = "192.0.2.1";
  std::string user;
  Command command = Command::kConnect;
  std::string name;
  std::string target;  // empty: not known
  std::uint16_t port = 443;
};

RuleVerdict Evaluate(const RuleSet& rules, const Question& question) {
  const IpAddress client = IpAddress::Parse(question.client).value();
  const auto target = IpAddress::Parse(question.target);
  static const Translators translators;
  const auto embedded = target ? translators.EmbeddedV4(*target) : std::nullopt;
  return rules.Evaluate({.client = client,
                         .user = question.user,
                         .command = question.command,
                         .name = question.name,
                         .target = target ? &*target : nullptr,
                         .port = question.port,
                         .embedded = embedded ? &*embedded : nullptr});
}

Answer AnswerTo(const RuleSet& rules, const Question& question) { return Evaluate(rules, question).answer; }
bool Allows(const RuleSet& rules, const Question& question) { return AnswerTo(rules, question) == Answer::kAllow; }

TEST_CASE("rules: without rules everything is allowed") {
  for (const RuleSet& rules : {RuleSet(), Compile({}), Compile({"set unused 10.0.0.1"})}) {
    CHECK(rules.empty());
    CHECK(Allows(rules, {.target = "127.0.0.1"}));
    CHECK(Allows(rules, {.name = "example.com"}));
    CHECK_FALSE(Evaluate(rules, {.target = "127.0.0.1"}).overrides_guard);
    CHECK(Evaluate(rules, {.target = "127.0.0.1"}).rule == nullptr);
  }
}

TEST_CASE("rules: if no rule matches, the request is denied if there is an allow rule, and allowed otherwise") {
  CHECK(Allows(Compile({"deny target 10.0.0.1"}), {.target = "10.0.0.2"}));
  CHECK_FALSE(Allows(Compile({"allow target 10.0.0.1"}), {.target = "10.0.0.2"}));
  CHECK_FALSE(Allows(Compile({"deny target 10.0.0.1", "allow target 10.0.0.3"}), {.target = "10.0.0.2"}));
  CHECK(Evaluate(Compile({"allow target 10.0.0.1"}), {.target = "10.0.0.2"}).rule == nullptr);
}

TEST_CASE("rules: the first rule that matches decides, and the verdict names it") {
  const RuleSet rules = Compile({"deny target 10.1.0.0/16", "allow target 10.0.0.0/8 source 192.0.2.9",
                                 "deny target 10.2.0.0/16", "allow client 192.0.2.1"});
  const RuleVerdict denied = Evaluate(rules, {.target = "10.1.0.1"});
  CHECK(denied.answer == Answer::kDeny);
  REQUIRE(denied.rule != nullptr);
  CHECK(denied.rule->number == 1);
  CHECK(denied.rule->where == "test.conf:1");
  const RuleVerdict allowed = Evaluate(rules, {.target = "10.2.0.1"});
  CHECK(allowed.answer == Answer::kAllow);
  REQUIRE(allowed.rule != nullptr);
  CHECK(allowed.rule->number == 2);
  CHECK(allowed.rule->source.v4 == IpAddress::Parse("192.0.2.9"));
  CHECK(Evaluate(rules, {.target = "10.2.0.1"}).rule == allowed.rule);
  CHECK(Evaluate(rules, {.target = "8.8.8.8"}).rule->number == 4);
}

TEST_CASE("rules: a rule matches if all its conditions do") {
  const RuleSet rules = Compile(
      {"allow client 192.0.2.0/24 user alice,bob command connect,udp-associate target 10.0.0.0/8 port 80,443-445"});
  const Question good{.user = "bob", .target = "10.0.0.1", .port = 444};
  CHECK(Allows(rules, good));
  const auto with = [&](auto change) {
    Question question = good;
    change(question);
    return Allows(rules, question);
  };
  CHECK(with([](Question& q) { q.port = 80; }));
  CHECK(with([](Question& q) { q.command = Command::kUdpAssociate; }));
  CHECK_FALSE(with([](Question& q) { q.client = "192.0.3.1"; }));
  CHECK_FALSE(with([](Question& q) { q.client = "2001:db8::1"; }));
  CHECK_FALSE(with([](Question& q) { q.user = "carol"; }));
  CHECK_FALSE(with([](Question& q) { q.user = "Bob"; }));
  CHECK_FALSE(with([](Question& q) { q.user = ""; }));
  CHECK_FALSE(with([](Question& q) { q.command = Command::kBind; }));
  CHECK_FALSE(with([](Question& q) { q.target = "11.0.0.1"; }));
  CHECK_FALSE(with([](Question& q) { q.port = 446; }));
  CHECK_FALSE(with([](Question& q) { q.port = 0; }));
}

TEST_CASE("rules: a target is an address, a block, a set, a name, or a name and all below it") {
  const RuleSet rules =
      Compile({"set partners 198.51.100.0/24 .partner.example", "set all partners 203.0.113.7",
               "allow target all,10.0.0.1,2001:db8::/32,example.com,.example.org,printer.,link-local"});
  for (const std::string_view target :
       {"198.51.100.9", "203.0.113.7", "10.0.0.1", "2001:db8::5", "169.254.1.1", "fe80::1", "::ffff:10.0.0.1"}) {
    CAPTURE(target);
    CHECK(Allows(rules, {.target = std::string(target)}));
    CHECK(Allows(rules, {.name = "any.name", .target = std::string(target)}));
  }
  for (const std::string_view name :
       {"example.com", "EXAMPLE.COM.", "example.org", "www.example.org", "a.b.EXAMPLE.org.", "printer", "printer.",
        "partner.example", "x.partner.example"}) {
    CAPTURE(name);
    CHECK(Allows(rules, {.name = std::string(name)}));
    CHECK(Allows(rules, {.name = std::string(name), .target = "8.8.8.8"}));
  }
  for (const std::string_view name :
       {"www.example.com", "badexample.org", "org", "printer.local", "notpartner.example"}) {
    CAPTURE(name);
    CHECK(AnswerTo(rules, {.name = std::string(name)}) == Answer::kNeedsAddress);
    CHECK_FALSE(Allows(rules, {.name = std::string(name), .target = "8.8.8.8"}));
  }
  CHECK_FALSE(Allows(rules, {.target = "203.0.113.8"}));
}

TEST_CASE("rules: a denied name is not resolved") {
  const RuleSet rules = Compile({"deny target .evil.example", "allow"});
  CHECK(AnswerTo(rules, {.name = "www.evil.example"}) == Answer::kDeny);
  CHECK(AnswerTo(rules, {.name = "good.example"}) == Answer::kAllow);
}

TEST_CASE("rules: before resolution the verdict is kNeedsAddress if the address makes a difference") {
  const struct {
    std::vector<std::string> rules;
    Answer before;
  } rows[] = {
      {{"deny target 10.0.0.0/8"}, Answer::kNeedsAddress},
      {{"allow target 10.0.0.0/8"}, Answer::kNeedsAddress},
      {{"allow target 10.0.0.0/8", "allow"}, Answer::kAllow},  // in both cases
      {{"deny target 10.0.0.0/8", "deny"}, Answer::kDeny},
      {{"deny target 10.0.0.0/8", "allow target .example.com"}, Answer::kNeedsAddress},
      {{"allow target .example.com", "deny target 10.0.0.0/8"}, Answer::kAllow},
      {{"deny target .example.com,10.0.0.0/8", "allow"}, Answer::kDeny},
      {{"deny target .example.org,10.0.0.0/8", "allow"}, Answer::kNeedsAddress},
      {{"deny target any"}, Answer::kDeny},  // every address
      {{"deny target 0.0.0.0/0,::/0"}, Answer::kDeny},
      {{"deny target 0.0.0.0/0"}, Answer::kNeedsAddress},     // it may have IPv6
      {{"deny user bob target 10.0.0.0/8"}, Answer::kAllow},  // another user
      {{"deny client 198.51.100.1 target 10.0.0.0/8"}, Answer::kAllow},
      {{"deny port 25 target 10.0.0.0/8"}, Answer::kAllow},
      {{"deny command udp-associate target 10.0.0.0/8"}, Answer::kAllow},
      {{"deny port 443 target 10.0.0.0/8"}, Answer::kNeedsAddress},
      {{"deny port 25 target 10.0.0.0/8", "deny target 10.0.0.0/8"}, Answer::kNeedsAddress},
      {{"deny target 10.0.0.0/8 client 198.51.100.1", "deny target 10.0.0.0/8"}, Answer::kNeedsAddress},
      {{"deny user bob target 10.0.0.0/8", "deny user alice target 10.0.0.0/8"}, Answer::kNeedsAddress},
  };
  for (const auto& row : rows) {
    std::string all;
    for (const std::string& rule : row.rules) all += rule + "; ";
    CAPTURE(all);
    CHECK(AnswerTo(Compile(row.rules), {.user = "alice", .name = "www.example.com"}) == row.before);
  }
}

TEST_CASE("rules: without a target the verdict is kDeny if every target is denied") {
  const struct {
    std::vector<std::string> rules;
    Answer answer;
  } rows[] = {
      {{"deny command udp-associate"}, Answer::kDeny},
      {{"deny target any", "allow"}, Answer::kDeny},
      {{"deny command udp-associate port 53"}, Answer::kNeedsAddress},
      {{"deny command connect"}, Answer::kAllow},
      {{"allow command udp-associate port 53"}, Answer::kNeedsAddress},
      {{"allow command udp-associate target .example.com"}, Answer::kNeedsAddress},
      {{"allow command udp-associate target 10.0.0.0/8"}, Answer::kNeedsAddress},
      {{"allow command connect"}, Answer::kDeny},
      {{"allow user bob"}, Answer::kDeny},
      {{"allow user alice"}, Answer::kAllow},
      {{"deny target private,.example.com", "allow client 192.0.2.0/24"}, Answer::kNeedsAddress},
      {{"deny target private", "deny client 192.0.2.1", "allow"}, Answer::kDeny},
  };
  for (const auto& row : rows) {
    CAPTURE(row.rules.front());
    const IpAddress client = *IpAddress::Parse("192.0.2.1");
    const RuleSet rules = Compile(row.rules);
    CHECK(rules.Evaluate({.client = client, .user = "alice", .command = Command::kUdpAssociate, .any_target = true})
              .answer == row.answer);
  }
}

TEST_CASE("rules: each address of a name is evaluated independently") {
  const RuleSet rules = Compile({"deny target private", "allow target .example.com"});
  CHECK(AnswerTo(rules, {.name = "www.example.com"}) == Answer::kNeedsAddress);
  CHECK(AnswerTo(rules, {.name = "www.example.com", .target = "10.0.0.1"}) == Answer::kDeny);
  CHECK(AnswerTo(rules, {.name = "www.example.com", .target = "8.8.8.8"}) == Answer::kAllow);
  CHECK(AnswerTo(rules, {.name = "www.example.com", .target = "fd00::1"}) == Answer::kDeny);
}

TEST_CASE("rules: the predefined sets") {
  const struct {
    std::string_view set;
    std::vector<std::string_view> inside, outside;
  } rows[] = {
      {"any", {"0.0.0.0", "8.8.8.8", "255.255.255.255", "::", "2001:db8::1"}, {}},
      {"loopback", {"127.0.0.1", "127.255.255.255", "::1"}, {"128.0.0.0", "::2", "10.0.0.1"}},
      {"link-local", {"169.254.169.254", "fe80::1", "febf::1"}, {"169.253.0.1", "fec0::1"}},
      {"private",
       {"10.0.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd00::1"},
       {"100.64.0.1", "172.32.0.0", "192.169.0.0", "fe00::1", "127.0.0.1"}},
      {"shared", {"100.64.0.0", "100.127.255.255"}, {"100.63.255.255", "100.128.0.0"}},
      {"multicast", {"224.0.0.1", "239.255.255.255", "ff02::1"}, {"240.0.0.1", "fe80::1"}},
      {"unspecified", {"0.0.0.0", "0.1.2.3", "::"}, {"1.0.0.0", "::1"}},
      {"broadcast", {"255.255.255.255"}, {"255.255.255.254"}},
      {"metadata",
       {"168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"},
       {"168.63.129.17", "100.100.100.100", "fd00:ec2::253", "fd20:ce::", "169.254.169.253"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.set);
    const RuleSet targets = Compile({"allow target " + std::string(row.set)});
    const RuleSet clients = Compile({"allow client " + std::string(row.set)});
    for (const std::string_view address : row.inside) {
      CHECK(Allows(targets, {.target = std::string(address)}));
      CHECK(Allows(clients, {.client = std::string(address)}));
    }
    for (const std::string_view address : row.outside) {
      CHECK_FALSE(Allows(targets, {.target = std::string(address)}));
      CHECK_FALSE(Allows(clients, {.client = std::string(address)}));
    }
  }
}

TEST_CASE("rules: a NAT64 address is evaluated as the IPv4 address inside it") {
  const RuleSet closed = Compile({"deny target 10.0.0.0/8"});
  CHECK_FALSE(Allows(closed, {.target = "64:ff9b::10.0.0.1"}));
  CHECK(Allows(closed, {.target = "64:ff9b::11.0.0.1"}));
  CHECK_FALSE(Allows(closed, {.target = "64:ff9b:1:a00:0:100::"}));
  CHECK(Allows(closed, {.target = "64:ff9b:2:a00:0:100::"}));
  CHECK_FALSE(Allows(Compile({"deny target 64:ff9b::/96"}), {.target = "64:ff9b::8.8.8.8"}));
  const RuleSet open = Compile({"allow target 127.0.0.1"});
  CHECK(Allows(open, {.target = "64:ff9b::127.0.0.1"}));
  CHECK_FALSE(Evaluate(open, {.target = "64:ff9b::127.0.0.1"}).overrides_guard);  // the rule does not name this address
}

TEST_CASE("rules: only a rule that names an address, or blocks that the guard closes, overrides the guard") {
  const struct {
    std::string_view rule, target;
    bool overrides;
  } rows[] = {
      {"allow target 127.0.0.1", "127.0.0.1", true},
      {"allow target 10.0.0.5", "10.0.0.5", true},
      {"allow target 2001:db8::5", "2001:db8::5", true},
      {"allow target 10.0.0.5/32", "10.0.0.5", true},
      {"allow target 10.0.0.4/31", "10.0.0.5", false},
      {"allow target 127.0.0.0/8", "127.0.0.1", true},
      {"allow target 127.1.0.0/16", "127.1.0.1", true},
      {"allow target 126.0.0.0/7", "127.0.0.1", false},
      {"allow target 169.254.0.0/16", "169.254.169.254", true},
      {"allow target fe80::/64", "fe80::1", true},
      {"allow target fd00:ec2::/32", "fd00:ec2::254", true},
      {"allow target fd00::/8", "fd00:ec2::254", false},
      {"allow target metadata", "168.63.129.16", true},
      {"allow target metadata", "fd20:ce::254", true},
      {"allow target 100.64.0.0/10", "100.100.100.200", false},
      {"allow target loopback", "::1", true},
      {"allow target link-local", "169.254.1.1", true},
      {"allow target multicast", "224.0.0.1", true},
      {"allow target unspecified", "0.0.0.0", true},
      {"allow target broadcast", "255.255.255.255", true},
      {"allow target home", "127.0.0.1", true},  // through a set of the configuration
      {"allow target private", "10.0.0.5", false},
      {"allow target 10.0.0.0/8", "10.0.0.5", false},
      {"allow target 0.0.0.0/0", "127.0.0.1", false},
      {"allow target any", "127.0.0.1", false},
      {"allow target any,127.0.0.1", "127.0.0.1", true},
      {"allow target any,127.0.0.1", "127.0.0.2", false},
      {"allow target 127.0.0.1,0.0.0.0/0", "127.0.0.2", false},
      {"allow target www.example.com", "127.0.0.1", false},
      {"allow target www.example.com,127.0.0.1", "127.0.0.1", true},
      {"allow", "127.0.0.1", false},
      {"allow client 192.0.2.1", "192.0.2.1", false},
      {"deny target 127.0.0.1", "127.0.0.1", false},
      {"allow user alice target 127.0.0.1", "127.0.0.1", true},
      {"allow client 192.0.2.1 target 127.0.0.1", "127.0.0.1", true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.rule);
    CAPTURE(row.target);
    const RuleSet rules = Compile({"set home 127.0.0.1", std::string(row.rule), "allow target 127.0.0.0/8"});
    const RuleVerdict verdict =
        Evaluate(rules, {.user = "alice", .name = "www.example.com", .target = std::string(row.target)});
    CHECK(verdict.rule->number == 1);
    CHECK(verdict.overrides_guard == row.overrides);
  }
}

TEST_CASE("rules: names_clients is true if every allow rule names its clients") {
  const struct {
    std::vector<std::string> rules;
    bool named;
  } rows[] = {
      {{}, false},
      {{"deny client 10.0.0.1"}, false},
      {{"allow"}, false},
      {{"allow target 10.0.0.1"}, false},
      {{"allow user alice"}, false},
      {{"allow client 10.0.0.0/8"}, true},
      {{"allow client 10.0.0.0/8", "deny"}, true},
      {{"deny target private", "allow client 10.0.0.0/8", "allow client 192.0.2.1 target any"}, true},
      {{"allow client 10.0.0.0/8", "allow target 10.0.0.1"}, false},
      {{"allow client any"}, true},  // all clients, but explicitly
  };
  for (const auto& row : rows) CHECK(Compile(row.rules).names_clients() == row.named);
}

TEST_CASE("rules: private networks that remote clients may reach although no rule names them are reported") {
  const std::string all = "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 ";
  const struct {
    std::vector<std::string> rules;
    std::string open;
  } rows[] = {
      {{"set unused 10.0.0.1"}, all},
      {{"deny port 25"}, all},
      {{"deny target private"}, ""},
      {{"set inside private", "deny target inside"}, ""},
      {{"deny target 10.0.0.0/7,172.16.0.0/12"}, "192.168.0.0/16 fc00::/7 "},
      {{"deny target 10.1.0.0/16"}, all},
      {{"deny target private port 22"}, all},
      {{"deny target private command udp-associate"}, all},
      {{"deny target private user guest"}, ""},  // a rule names them
      {{"deny user guest"}, all},
      {{"deny"}, ""},
      {{"allow client 192.0.2.0/24"}, all},
      {{"allow client 192.0.2.0/24 port 443"}, all},
      {{"allow client loopback"}, ""},
      {{"allow client loopback,192.0.2.1 target any"}, all},
      {{"allow target 0.0.0.0/0"}, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 "},
      {{"allow target private"}, ""},
      {{"allow target private,::/0"}, "fc00::/7 "},
      {{"allow target 10.0.0.7,.example.com"}, ""},
      {{"deny target private", "allow client any"}, ""},
      {{"allow client any", "deny target private"}, all},  // after the rule that allows them
      {{"deny target fc00::/7", "allow target 10.0.0.7", "allow user alice"},
       "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 "},
  };
  for (const auto& row : rows) {
    const RuleSet rules = Compile(row.rules);
    std::string open;
    for (const Prefix& block : rules.exposed_private()) open += block.ToString() + ' ';
    CHECK_MESSAGE(open == row.open, row.rules.front());
  }
}

TEST_CASE("rules: users and names may have any bytes") {
  const RuleSet rules = Compile({"allow user alice target .example.com", "deny target 10.0.0.0/8"});
  const std::string hostile[] = {
      std::string(255, '\0'), std::string(255, '.'), std::string(255, '\xff'), std::string(100'000, 'a'),
      ".example.com",         "..example.com",       "example.com.."};
  for (const std::string& text : hostile) {
    Evaluate(rules, {.user = text, .name = text});
    Evaluate(rules, {.user = text, .name = text, .target = "10.0.0.1"});
    CHECK_FALSE(Allows(rules, {.user = text, .name = "example.com", .target = "8.8.8.8"}));
  }
  CHECK(Allows(rules, {.user = "alice", .name = "x." + std::string(63, '\xff') + ".example.com"}));
}

TEST_CASE("rules: conditions with blocks and domains of every length are evaluated") {
  std::vector<std::string> lines;
  for (int length = 0; length <= 128; ++length) {
    const IpAddress zeros = *IpAddress::Parse("::");
    lines.push_back("deny port 1 target " + zeros.ToString() + '/' + std::to_string(length));
    lines.push_back("deny user bob client " + zeros.ToString() + '/' + std::to_string(length));
  }
  std::string name = "a";
  for (; name.size() < kNameBytesMax; name += ".a") lines.push_back("deny port 2 target ." + name);
  lines.push_back("deny port 2 target " + name);
  lines.push_back("deny port 3 target 64:ff9b::/96,0.0.0.0/0");
  lines.push_back("allow target any");
  const RuleSet rules = Compile(lines);
  const Question question{.client = "::", .user = "alice", .name = name, .target = "::"};
  CHECK(Evaluate(rules, question).rule->number == lines.size());
  Question unknown = question;
  unknown.target = "";
  CHECK(Evaluate(rules, unknown).rule->number == lines.size());
  CHECK_FALSE(Allows(rules, {.client = "::", .user = "bob", .target = "8.8.8.8"}));
}

TEST_CASE("rules: each of thousands of rules and sets is found") {
  constexpr int kCount = 3'000;
  std::vector<std::string> lines;
  for (int i = 0; i < kCount; ++i) {
    const std::string block = std::to_string(i / 256 + 20) + '.' + std::to_string(i % 256) + ".0.0/16";
    const std::string number = std::to_string(i);
    lines.push_back((i % 2 == 0 ? "deny target " : "allow target ") + block);
    lines.push_back((i % 2 == 0 ? "deny target .d" : "allow target .d") + number + ".example");
    lines.push_back("allow user user" + number + " target 203.0.113.0/24");
    lines.push_back("allow client 198.51.100.0/24 target 192.0.2." + std::to_string(i % 256) + " port " +
                    std::to_string(i + 1));
  }
  const RuleSet rules = Compile(lines);
  for (const int i : {0, 1, 2, 255, 256, 1'001, kCount - 1}) {
    CAPTURE(i);
    const std::string number = std::to_string(i);
    const std::string inside = std::to_string(i / 256 + 20) + '.' + std::to_string(i % 256) + ".1.2";
    CHECK(Allows(rules, {.target = inside}) == (i % 2 != 0));
    CHECK(Evaluate(rules, {.target = inside}).rule->number == static_cast<std::uint32_t>(4 * i + 1));
    CHECK(Allows(rules, {.name = "www.d" + number + ".example", .target = "8.8.8.8"}) == (i % 2 != 0));
    CHECK(Allows(rules, {.user = "user" + number, .target = "203.0.113.9"}));
    CHECK_FALSE(Allows(rules, {.user = "user" + number + "x", .target = "203.0.113.9"}));
    const std::string target = "192.0.2." + std::to_string(i % 256);
    CHECK(Allows(rules, {.client = "198.51.100.1", .target = target, .port = static_cast<std::uint16_t>(i + 1)}));
    CHECK_FALSE(Allows(rules, {.client = "198.51.101.1", .target = target, .port = static_cast<std::uint16_t>(i + 1)}));
  }
  CHECK(AnswerTo(rules, {.name = "d7.example"}) == Answer::kNeedsAddress);
  CHECK_FALSE(Allows(rules, {.name = "d7.example.net", .target = "8.8.8.8"}));
}

}  // namespace
}  // namespace penstock

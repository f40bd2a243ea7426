#include "penstock/os/password_hash.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

namespace penstock {
namespace {

struct Known {
  std::string_view hash;
  std::string_view kind;
};

// All of "open-sesame". The first four are from openssl-passwd(1) (-6, -6 with rounds, -5, -1), the others from
// libxcrypt itself, at the lowest costs.
const Known kKnown[] = {
    {"$6$sesamesalt$88anmR7RfEVWgDY8RYCX3ebUDHDvelYOtVgQQjVzFTP4HAsHIT.erzFZFwGJCY4RmyxhoO9IizTr.522y4Sz61", "$6$"},
    {"$6$rounds=1000$saltandpep$2NUey47fiBqjNdn40RaksBF5NoIfo4TWn3l6Xbpod7Lz.zNklCzdQgBFE2OY5uve5wCZDM9kEW34zCGK3dIQl.",
     "$6$rounds=1000$"},
    {"$5$sesamesalt$Vfd7RRTRjfAa3FRkaJSyb2nYMa/HzvvQAejMOYvWrQ4", "$5$"},
    {"$1$sesames$.ZX3almpYOWD04sqJW.tf.", "$1$"},
    {"$y$j75$9OYLlxXeEK6sBVotPlSEZ/$K8w0WmUC4LRXM.3RANSg6ao7cGVus8kV2osQYaWnBJ.", "$y$j75$"},
    {"$y$j9T$as3cP3NJxFYs2SoMt26Ks1$Y3LR8shBDVYegOngQ73nywcoItP4c6RnZ.CdLLlXD5.", "$y$j9T$"},
    {"$gy$j75$006dMi/B/nbw2DwtUkdFO0$ClvgGVruadyAKL3A6k1cYilbENpwN0KLWqFslWiehDD", "$gy$j75$"},
    {"$7$BU..../....KTTON90ZYUWPZ9nL.y2m2.$kxF7IaFDfLFO3VzzxyVSGTvJoTCzotsv6RNiQoZWd6.", "$7$BU..../...."},
    {"$2b$04$58iUCgdRsqHdCxR3ONb2e.ha7dzucVOuShZIl1UQOgGjT0krL96iC", "$2b$04$"},
    {"$2y$04$x9zT9J74kKxUN.m6ZRtdpObRVGAHdmoYcRPMB/HiQtqRUg1UaSV9K", "$2y$04$"},
};

}  // namespace

TEST_CASE("password hash: hashes of other programs are valid and match their password alone") {
  for (const Known& known : kKnown) {
    CAPTURE(known.kind);
    const Secret hash(known.hash);
    CHECK(IsPasswordHash(hash));
    CHECK(HashKind(hash) == known.kind);
    CHECK(HashMatches(Secret(std::string_view("open-sesame")), hash));
    CHECK_FALSE(HashMatches(Secret(std::string_view("open-sesamE")), hash));
  }
}

TEST_CASE("password hash: a hash that is truncated, or that crypt(3) cannot verify, is rejected") {
  const auto usable = [](std::string_view text) { return IsPasswordHash(Secret(text)); };
  for (const Known& known : kKnown) {
    CAPTURE(known.kind);
    CHECK_FALSE(usable(known.hash.substr(0, known.hash.size() - 1)));
    CHECK_FALSE(usable(std::string(known.hash) + 'x'));
    CHECK_FALSE(usable(known.hash.substr(0, known.hash.rfind('$') + 1)));
    CHECK_FALSE(usable(known.hash.substr(1)));
    CHECK_FALSE(usable(std::string(known.hash).replace(known.hash.size() - 3, 1, " ")));
    CHECK_FALSE(usable(std::string(known.hash).replace(known.hash.size() - 3, 1, std::string(1, '\0'))));
  }
  for (const std::string_view text :
       {"", "*", "*0", "!", "x", "$", "$$", "$6$", "$6", "abJnggxhB/yWI", "_J9..rasmBYk8r9AiWNc", "open-sesame",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$b3Blbg", "$apr1$salt$hash"}) {
    CAPTURE(text);
    CHECK_FALSE(usable(text));
  }
  CHECK_FALSE(usable("$sha1$4$" + std::string(400, 'x')));
}

TEST_CASE("password hash: no hash matches an empty password or one with a NUL byte") {
  const Secret hash(kKnown[0].hash);
  CHECK_FALSE(HashMatches(Secret(), hash));
  CHECK_FALSE(HashMatches(Secret(std::string_view("open-sesame\0", 12)), hash));
  CHECK_FALSE(HashMatches(Secret(std::string_view("open-sesame\0more", 16)), hash));
  // What crypt(3) makes of the empty password.
  const Secret of_nothing(std::string_view(
      "$6$othersalt$DvzPiHQSuSfWHB34iTgsJwszs9RaheuvQL3tVRhnvgKGXmN0QHjoj4RKjndbxQ34jROj5fTO0oWz/yWARhaXT/"));
  CHECK_FALSE(HashMatches(Secret(), of_nothing));
}

TEST_CASE("password hash: text that is no hash matches nothing") {
  CHECK_FALSE(HashMatches(Secret(std::string_view("open-sesame")), Secret()));
  CHECK_FALSE(HashMatches(Secret(std::string_view("*0")), Secret(std::string_view("*0"))));
  CHECK_FALSE(HashMatches(Secret(std::string_view("*0")), Secret(std::string_view("$y$!!$salt$hash"))));
}

TEST_CASE("password hash: a new hash matches its password and has a salt of its own") {
  const Secret password(std::string_view("open-sesame"));
  const auto first = MakePasswordHash(password);
  const auto second = MakePasswordHash(password);
  REQUIRE(first);
  REQUIRE(second);
  CHECK_FALSE(*first == *second);
  CHECK(IsPasswordHash(Secret(*first)));
  CHECK(HashMatches(password, Secret(*first)));
  CHECK(HashKind(Secret(*first)) == HashKind(Secret(*second)));
}

}  // namespace penstock

#include "penstock/name_lookups.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <string>
#include <utility>

#include "penstock/dns_exchange.h"

namespace penstock {
namespace {

std::size_t IndexOf(Family family) { return static_cast<std::size_t>(family); }

DnsType TypeOf(Family family) { return family == Family::kIpv6 ? DnsType::kAaaa : DnsType::kA; }

}  // namespace

struct NameLookups::Try {
  Try(Handle self_handle, Lookup& the_lookup, Family the_family, std::size_t the_server, NameLookups& owner);

  const Handle self;
  Lookup& lookup;
  const Family family;
  const std::size_t server;
  const std::uint32_t servers_epoch;  // `server` means nothing in another
  const TimePoint began;
  DnsExchange exchange;
  Deadline patience;
};

struct NameLookups::Question {
  enum class State : std::uint8_t { kUnwanted, kAsking, kDone };

  explicit Question(Cookie cookie) : next_try(cookie) {}

  State state = State::kUnwanted;
  FamilyAnswer answer;  // when kDone
  ServersAsked asked;
  std::vector<Handle> tries;  // alive
  Deadline next_try;

  const FamilyAnswer* half() const { return state == State::kDone ? &answer : nullptr; }
};

struct NameLookups::Lookup {
  Lookup(Handle self_handle, std::string_view the_name)
      : self(self_handle), name(the_name), grace(Cookie{0, self_handle}) {}

  Question& question(Family family) { return questions[IndexOf(family)]; }
  NameAnswer Answer() const { return Combine(questions[0].half(), questions[1].half()); }

  const Handle self;
  const std::string name;
  std::size_t first_server = 0;
  bool told = false;  // grace is over: whoever asks gets what there is
  std::array<Question, 2> questions{Question(Cookie{0, self}), Question(Cookie{1, self})};  // the tag is the family
  std::vector<Handle> waiters;
  Deadline grace;
};

NameLookups::Try::Try(Handle self_handle, Lookup& the_lookup, Family the_family, std::size_t the_server,
                      NameLookups& owner)
    : self(self_handle),
      lookup(the_lookup),
      family(the_family),
      server(the_server),
      servers_epoch(owner.servers_epoch_),
      began(owner.clock_.now()),
      exchange(owner.poller_, Cookie{owner.tag_, self_handle}),
      patience(Cookie{0, self_handle}) {}

NameLookups::NameLookups(const ResolvConf& conf, Poller& poller, const Clock& clock, Counters& counters,
                         std::uint8_t tag)
    : poller_(poller),
      clock_(clock),
      counters_(counters),
      tag_(tag),
      cache_(kNamesCached),
      next_try_(kNextTryDelay),
      grace_(kFamilyGraceDelay),
      lookups_(kLookupsMax),
      tries_(kNameTriesMax) {
  Configure(conf);
}

NameLookups::~NameLookups() = default;

void NameLookups::Configure(const ResolvConf& conf) {
  servers_.Set(conf.servers, conf.attempts);
  ++servers_epoch_;
  rotate_ = conf.rotate;
  cache_.Clear();
  lookups_.ForEach([](Lookup& lookup) {
    for (Question& question : lookup.questions) question.asked = {};
  });
  if (patience_ != nullptr && patience_->duration() == conf.timeout) return;
  patience_ = std::make_unique<DeadlineQueue>(conf.timeout);
  tries_.ForEach([this](Try& alive) { patience_->Arm(alive.patience, clock_.now()); });
}

std::optional<NameAnswer> NameLookups::Find(std::string_view name) {
  const FamilyAnswer* halves[2] = {};
  bool whole = true;
  for (const Family family : kFamilies) {
    if (!wants(family)) continue;
    halves[IndexOf(family)] = cache_.Find(name, family, clock_.now());
    whole = whole && halves[IndexOf(family)] != nullptr;
  }
  if (whole) return Combine(halves[0], halves[1]);
  const auto running = lookup_of_.find(name);
  if (running != lookup_of_.end() && running->second->told) return running->second->Answer();
  return std::nullopt;
}

bool NameLookups::Wait(std::string_view name, Handle waiter) {
  const auto running = lookup_of_.find(name);
  Lookup* const lookup = running != lookup_of_.end() ? running->second : Begin(name);
  if (lookup == nullptr) return false;
  lookup->waiters.push_back(waiter);
  EndLookups();
  return true;
}

std::optional<NameLookups::Finished> NameLookups::TakeAnswer() {
  if (finished_.empty()) return std::nullopt;
  Finished finished = finished_.front();
  finished_.pop_front();
  return finished;
}

NameLookups::Lookup* NameLookups::Begin(std::string_view name) {
  Lookup* const lookup = lookups_.Acquire(name);
  if (lookup == nullptr) return nullptr;
  lookup_of_.emplace(lookup->name, lookup);
  not_started_.push_back(lookup->self);
  StartWaiting();
  return lookup;
}

void NameLookups::StartWaiting() {
  while (in_flight_ < kLookupsInFlight && !not_started_.empty()) {
    Lookup* const lookup = lookups_.Resolve(not_started_.front());
    not_started_.pop_front();
    Start(*lookup);
  }
}

// Asks for what is not remembered: A and AAAA have lives of their own.
void NameLookups::Start(Lookup& lookup) {
  ++in_flight_;
  counters_.names_asked.Add();
  lookup.first_server = rotate_ ? rotation_++ : 0;
  for (const Family family : kFamilies) {
    if (!wants(family)) continue;
    Question& question = lookup.question(family);
    const FamilyAnswer* const remembered = cache_.Find(lookup.name, family, clock_.now());
    if (remembered != nullptr) question.answer = *remembered;
    question.state = remembered != nullptr ? Question::State::kDone : Question::State::kAsking;
  }
  for (const Family family : kFamilies) {
    if (lookup.question(family).state == Question::State::kAsking) AskNext(lookup, family);
  }
  CheckProgress(lookup);
}

// Asks one server more, or ends the question when there is none left to ask or to wait for. When this host has no
// descriptor or memory left the try is lost, and the next one comes at its time: nothing spins.
void NameLookups::AskNext(Lookup& lookup, Family family) {
  Question& question = lookup.question(family);
  question.next_try.Disarm();
  for (;;) {
    const auto server = servers_.Pick(question.asked, lookup.first_server, clock_.now());
    if (!server) break;
    ++question.asked.tries[*server];
    const Fault fault = AskServer(lookup, family, *server);
    if (fault == Fault::kNone || fault == Fault::kExhausted) {
      next_try_.Arm(question.next_try, clock_.now());
      return;
    }
    question.asked.failed[*server] = true;  // no way to it
  }
  if (question.tries.empty()) EndQuestion(lookup, family, {}, kNoAnswerTtl);
}

Fault NameLookups::AskServer(Lookup& lookup, Family family, std::size_t server) {
  Try* const made = tries_.Acquire(lookup, family, server, *this);
  if (made == nullptr) return Fault::kExhausted;
  const auto id = static_cast<std::uint16_t>(random_());
  const Fault fault = made->exchange.Begin(servers_.endpoint(server), lookup.name, TypeOf(family), id);
  if (fault != Fault::kNone) {
    tries_.Release(made->self);
    return fault;
  }
  lookup.question(family).tries.push_back(made->self);
  patience_->Arm(made->patience, clock_.now());
  return Fault::kNone;
}

void NameLookups::EndTry(Try& ended) {
  std::erase(ended.lookup.question(ended.family).tries, ended.self);
  tries_.Release(ended.self);
}

void NameLookups::EndQuestion(Lookup& lookup, Family family, FamilyAnswer answer, std::chrono::seconds ttl) {
  Question& question = lookup.question(family);
  assert(question.state == Question::State::kAsking);
  question.next_try.Disarm();
  for (const Handle handle : std::exchange(question.tries, {})) tries_.Release(handle);
  cache_.Store(lookup.name, family, answer, ttl, clock_.now());
  question.answer = std::move(answer);
  question.state = Question::State::kDone;
}

// After a question has ended: the lookup has, too, or whoever waits for the other one does so for a short time only
// (RFC
// 8305 section 3).
void NameLookups::CheckProgress(Lookup& lookup) {
  const auto asking = [](const Question& question) { return question.state == Question::State::kAsking; };
  if (std::ranges::none_of(lookup.questions, asking)) {
    ended_.push_back(lookup.self);
  } else if (!lookup.told && !lookup.grace.armed() && lookup.Answer().count > 0) {
    grace_.Arm(lookup.grace, clock_.now());
  }
}

void NameLookups::TellWaiters(Lookup& lookup) {
  const NameAnswer answer = lookup.Answer();
  for (const Handle waiter : lookup.waiters) finished_.push_back({waiter, answer});
  lookup.waiters.clear();
}

// Tells the waiters of lookups that have ended, and starts others in their place, some of which may end at once: hence
// a list, not a recursion.
void NameLookups::EndLookups() {
  while (!ended_.empty()) {
    const Handle handle = ended_.back();
    ended_.pop_back();
    Lookup& lookup = *lookups_.Resolve(handle);
    if (lookup.Answer().status == NameStatus::kNoAnswer) counters_.names_failed.Add();
    lookup_of_.erase(lookup.name);  // first, so that nobody joins what is over
    TellWaiters(lookup);
    lookups_.Release(handle);
    --in_flight_;
    StartWaiting();
  }
}

void NameLookups::OnEvent(Handle handle, const Events& events) {
  Try* const happened = tries_.Resolve(handle);
  if (happened == nullptr) return;
  switch (happened->exchange.OnEvent(events)) {
    case DnsExchange::Progress::kWaiting:
      return;
    case DnsExchange::Progress::kAnswered:
      OnAnswer(*happened);
      break;
    case DnsExchange::Progress::kExhausted:
      OnNoDescriptor(*happened);
      break;
    case DnsExchange::Progress::kBroken:
      OnServerFailed(*happened);
      break;
  }
  EndLookups();
}

void NameLookups::OnAnswer(Try& answered) {
  const DnsAnswer& answer = answered.exchange.answer();
  const bool current = answered.servers_epoch == servers_epoch_;
  if (current) servers_.Heard(answered.server, clock_.now());
  if (answer.kind == DnsAnswer::Kind::kFailure) return OnServerFailed(answered);
  FamilyAnswer half{NameStatus::kNoName, {}};
  if (answer.kind == DnsAnswer::Kind::kAddresses) {
    half = {NameStatus::kFound, {answer.list().begin(), answer.list().end()}};
  }
  Lookup& lookup = answered.lookup;
  const auto ttl = current ? answer.ttl : std::chrono::seconds(0);
  EndQuestion(lookup, answered.family, std::move(half), ttl);  // `answered` is gone
  CheckProgress(lookup);
}

// It said so, or nobody is there: the next one at once.
void NameLookups::OnServerFailed(Try& failed) {
  Lookup& lookup = failed.lookup;
  const Family family = failed.family;
  if (failed.servers_epoch == servers_epoch_) lookup.question(family).asked.failed[failed.server] = true;
  EndTry(failed);
  AskNext(lookup, family);
  CheckProgress(lookup);
}

// Not the server's fault: the next try comes at its time.
void NameLookups::OnNoDescriptor(Try& failed) {
  Question& question = failed.lookup.question(failed.family);
  EndTry(failed);
  if (!question.next_try.armed()) next_try_.Arm(question.next_try, clock_.now());
}

void NameLookups::OnPatienceEnded(Try& silent) {
  Lookup& lookup = silent.lookup;
  const Family family = silent.family;
  if (silent.servers_epoch == servers_epoch_) servers_.Silent(silent.server, silent.began, clock_.now());
  EndTry(silent);
  const Question& question = lookup.question(family);
  if (!question.tries.empty() || question.next_try.armed()) return;
  AskNext(lookup, family);
  CheckProgress(lookup);
}

void NameLookups::OnNextTryDue(Lookup& lookup, Family family) {
  for (const Handle handle : lookup.question(family).tries) {
    const Try& silent = *tries_.Resolve(handle);
    if (silent.servers_epoch == servers_epoch_) servers_.Silent(silent.server, silent.began, clock_.now());
  }
  AskNext(lookup, family);
  CheckProgress(lookup);
}

void NameLookups::OnTime() {
  const TimePoint now = clock_.now();
  while (const auto due = next_try_.Expire(now)) {
    OnNextTryDue(*lookups_.Resolve(due->handle), static_cast<Family>(due->tag));
  }
  while (const auto due = patience_->Expire(now)) OnPatienceEnded(*tries_.Resolve(due->handle));
  while (const auto due = grace_.Expire(now)) {
    Lookup& lookup = *lookups_.Resolve(due->handle);
    lookup.told = true;
    TellWaiters(lookup);
  }
  EndLookups();
}

std::optional<TimePoint> NameLookups::next_deadline() const {
  if (!finished_.empty()) return clock_.now();
  std::optional<TimePoint> first;
  for (const auto& due : {patience_->next(), next_try_.next(), grace_.next()}) {
    if (due && (!first || *due < *first)) first = due;
  }
  return first;
}

}  // namespace penstock

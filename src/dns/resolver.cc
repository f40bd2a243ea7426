#include "penstock/dns/resolver.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

#include "penstock/base/fair_shares.h"
#include "penstock/os/random.h"
#include "penstock/os/socket.h"

namespace penstock {
namespace {

// True if `name` is `domain` or is below it.
bool IsWithin(std::string_view name, std::string_view domain) {
  if (!name.ends_with(domain)) return false;
  name.remove_suffix(domain.size());
  return name.empty() || name.ends_with('.');
}

NameAnswer Loopback() {
  static const FamilyAnswer kIpv6{NameStatus::kFound, {*IpAddress::Parse("::1")}};
  static const FamilyAnswer kIpv4{NameStatus::kFound, {*IpAddress::Parse("127.0.0.1")}};
  return Combine(&kIpv6, &kIpv4);
}

NameAnswer Nothing(NameStatus status) {
  NameAnswer answer;
  answer.status = status;
  return answer;
}

}  // namespace

Resolver::Resolver(const ResolverSettings& settings, const NameFiles& files, Poller& poller, const Clock& clock,
                   Counters& counters, std::uint8_t tag)
    : clock_(clock),
      counters_(counters),
      families_fixed_(settings.families),
      families_read_(clock.now()),
      files_(files.text()),
      text_(files_.Take()),
      lookups_(text_->resolv_conf, poller, clock, counters, tag, settings.attempts_max),
      share_key_(RandomBits()) {
  lookups_.SetFamilies(settings.families ? *settings.families : HostFamilies());
}

Resolver::~Resolver() = default;

std::optional<NameAnswer> Resolver::Known(std::string_view name, const IpAddress& client, const NameFilter* filter) {
  if (!IsHostName(name)) return Nothing(NameStatus::kNoName);
  Place place(ShareOf(client));
  return Known(name, NameText(name), filter, place);
}

// If there is no answer, `place` is at the candidate to query.
std::optional<NameAnswer> Resolver::Known(std::string_view name, const NameText& text, const NameFilter* filter,
                                          Place& place) {
  RefreshHost();
  place.text = text_;
  place.absolute = name.ends_with('.');
  if (filter != nullptr && !Restrict(text.view(), *filter, place)) return Denied(text.view(), place);
  if (const auto known = KnownByRule(text.view())) {
    Count(NameSource::kHosts, *known);
    return known;
  }
  const auto cached = Search(text.view(), place);
  if (cached) Count(NameSource::kCache, *cached);
  return cached;
}

std::optional<NameAnswer> Resolver::Resolve(std::string_view name, Cookie waiter, const IpAddress& client,
                                            const NameFilter* filter) {
  if (!IsHostName(name)) return Nothing(NameStatus::kNoName);
  const NameText text(name);
  Place place(ShareOf(client));
  if (const auto known = Known(name, text, filter, place)) return known;
  const auto [added, is_new] =
      waiters_.try_emplace(waiter.Packed(), Wanted{std::string(text.view()), std::move(place), clock_.now(), {}});
  assert(is_new);  // a waiter waits for one name at a time
  if (Wait(waiter, added->second)) return std::nullopt;
  CountWaited(added->second, Nothing(NameStatus::kNoAnswer));
  waiters_.erase(added);
  return Nothing(NameStatus::kNoAnswer);
}

// A denied name has not been looked up.
void Resolver::Count(NameSource source, const NameAnswer& answer) {
  switch (answer.status) {
    case NameStatus::kFound:
      return counters_.CountName(source, NameResult::kFound);
    case NameStatus::kNoName:
      return counters_.CountName(source, NameResult::kNotFound);
    case NameStatus::kNoAnswer:
      return counters_.CountName(source, NameResult::kNoAnswer);
    case NameStatus::kDenied:
      return;
  }
}

// The answer for one that has waited. If the rest of its candidates are denied, those that were asked had no address.
void Resolver::CountWaited(const Wanted& wanted, NameAnswer answer) {
  if (answer.status == NameStatus::kDenied) answer.status = NameStatus::kNoName;
  Count(NameSource::kNetwork, answer);
  counters_.durations.dns.Observe(clock_.now() - wanted.begun);
}

std::size_t Resolver::ShareOf(const IpAddress& client) const { return penstock::ShareOf(client, share_key_); }

void Resolver::Withdraw(Cookie waiter) {
  const auto found = waiters_.find(waiter.Packed());
  if (found == waiters_.end()) return;
  lookups_.Withdraw(found->second.ticket);
  counters_.names_withdrawn.Add();
  waiters_.erase(found);
}

// Picks up changes of the files and of the host's address families. Usually this only compares numbers.
void Resolver::RefreshHost() {
  const TimePoint now = clock_.now();
  if (files_.generation() != files_generation_ && TakeFiles()) lookups_.Configure(text_->resolv_conf);
  if (families_fixed_ || now - families_read_ < kFamiliesInterval) return;
  lookups_.SetFamilies(HostFamilies());
  families_read_ = now;
}

// True if resolv.conf has changed. An aliasing shared_ptr gives this worker a reference count of its own, so that
// workers do not write one cache line for each name.
bool Resolver::TakeFiles() {
  files_generation_ = files_.generation();
  const auto taken = std::make_shared<const std::shared_ptr<const NameFilesText>>(files_.Take());
  const auto before = std::exchange(text_, {taken, taken->get()});
  return !(text_->resolv_conf == before->resolv_conf);
}

std::optional<NameAnswer> Resolver::KnownByRule(std::string_view name) const {
  if (IsWithin(name, "localhost")) return Loopback();                  // RFC 6761 section 6.3
  if (IsWithin(name, "invalid")) return Nothing(NameStatus::kNoName);  // RFC 6761 section 6.4
  if (const auto listed = text_->hosts.Find(name)) return listed;
  // Such a name cannot be encoded (dns/message.h).
  if (name.find('\\') != std::string_view::npos) return Nothing(NameStatus::kNoName);
  return std::nullopt;
}

// The candidates for `name`, in order (resolv.conf(5), ndots): with at least ndots dots the name itself, then the name
// in each domain of the search list; otherwise the name itself last. An empty text means: skip it. Nothing: no more.
std::optional<NameText> Resolver::CandidateAt(std::string_view name, const Place& place) {
  const ResolvConf& conf = place.text->resolv_conf;
  const auto dots = static_cast<std::size_t>(std::count(name.begin(), name.end(), '.'));
  const bool as_it_is_first = place.absolute || dots >= conf.ndots;
  const std::size_t domains = place.absolute ? 0 : conf.search.size();
  if (place.candidate > domains) return std::nullopt;
  if (place.candidate == (as_it_is_first ? 0 : domains)) return NameText(name);
  return NameText(name, conf.search[as_it_is_first ? place.candidate - 1 : place.candidate]);
}

// Records which candidates `filter` denies. False if it denies all of them.
bool Resolver::Restrict(std::string_view name, const NameFilter& filter, Place& place) {
  bool any = false;
  Place each = place;
  for (; const auto candidate = CandidateAt(name, each); ++each.candidate) {
    if (candidate->view().empty()) continue;
    const bool allowed = filter.Allows(candidate->view());
    any |= allowed;
    if (!allowed) place.denied |= std::uint64_t{1} << each.candidate;
  }
  return any;
}

// The answer if nothing was found and the filter denies some candidate.
NameAnswer Resolver::Denied(std::string_view name, Place place) {
  place.candidate = static_cast<std::size_t>(std::countr_zero(place.denied));
  return Named(Nothing(NameStatus::kDenied), CandidateAt(name, place), name);
}

NameAnswer Resolver::Named(NameAnswer answer, const std::optional<NameText>& candidate, std::string_view name) {
  answered_ = candidate;
  if (answered_ && answered_->view() != name) answer.name = answered_->view();
  return answer;
}

// True if `answer`, for the candidate at `place`, settles the search; otherwise the next candidate follows. kNoAnswer
// for a candidate in a search domain does not settle it: one broken domain must not break all short names. kNoAnswer
// for the name itself does: otherwise a wildcard in a search domain would replace every name whose own servers are
// down.
bool Resolver::Settles(const NameAnswer& answer, std::string_view name, Place& place) {
  switch (answer.status) {
    case NameStatus::kFound:
      return true;
    case NameStatus::kNoName:
    case NameStatus::kDenied:
      return false;
    case NameStatus::kNoAnswer:
      place.failed = true;
      const auto candidate = CandidateAt(name, place);
      return candidate && candidate->view() == name;
  }
  return true;
}

// Continues from `place` until a candidate settles the search. Returns nothing if a candidate has to be queried;
// `place` is at it.
std::optional<NameAnswer> Resolver::Search(std::string_view name, Place& place) {
  for (;; ++place.candidate) {
    const auto candidate = CandidateAt(name, place);
    if (!candidate && place.denied != 0 && !place.failed) return Denied(name, place);
    if (!candidate) return Nothing(place.failed ? NameStatus::kNoAnswer : NameStatus::kNoName);
    if (candidate->view().empty() || place.IsDenied()) continue;
    const auto answer = lookups_.Find(candidate->view(), place.share);
    if (!answer) return std::nullopt;
    if (Settles(*answer, name, place)) return Named(*answer, candidate, name);
  }
}

// False if there is no room for another lookup.
bool Resolver::Wait(Cookie waiter, Wanted& wanted) {
  const auto candidate = CandidateAt(wanted.name, wanted.place);
  assert(candidate && !candidate->view().empty());  // Search stopped at it
  const auto ticket = lookups_.Wait(candidate->view(), waiter, wanted.place.share);
  if (ticket) wanted.ticket = *ticket;
  return ticket.has_value();
}

void Resolver::OnEvent(Handle handle) { lookups_.OnEvent(handle); }

void Resolver::OnTime() { lookups_.OnTime(); }

std::optional<TimePoint> Resolver::next_deadline() const { return lookups_.next_deadline(); }

std::optional<Resolver::Finished> Resolver::TakeAnswer() {
  while (const auto finished = lookups_.TakeAnswer()) {
    const auto found = waiters_.find(finished->waiter.Packed());
    const auto answer = AfterLookup(finished->waiter, found->second, finished->answer);
    if (!answer) continue;
    CountWaited(found->second, *answer);
    waiters_.erase(found);
    return Finished{finished->waiter, *answer};
  }
  return std::nullopt;
}

// The answer for `waiter`, now that its candidate has `answer`; nothing if it waits again, for a later candidate.
std::optional<NameAnswer> Resolver::AfterLookup(Cookie waiter, Wanted& wanted, const NameAnswer& answer) {
  if (Settles(answer, wanted.name, wanted.place)) {
    return Named(answer, CandidateAt(wanted.name, wanted.place), wanted.name);
  }
  ++wanted.place.candidate;
  if (const auto known = Search(wanted.name, wanted.place)) return known;
  if (Wait(waiter, wanted)) return std::nullopt;
  return Nothing(NameStatus::kNoAnswer);
}

}  // namespace penstock

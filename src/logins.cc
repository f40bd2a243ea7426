#include "penstock/logins.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "penstock/limits.h"
#include "penstock/password_hash.h"
#include "penstock/random.h"

namespace penstock {

void LoginMailbox::Put(LoginAnswer answer) {
  {
    const std::lock_guard lock(mutex_);
    answers_.push_back(std::move(answer));
  }
  wake_.Raise();
}

void LoginMailbox::TakeAll(std::vector<LoginAnswer>& answers) {
  answers.clear();
  const std::lock_guard lock(mutex_);
  answers.swap(answers_);
}

Logins::Logins() : key_(RandomKey()), backoff_(key_), verified_(kLoginsRemembered), helper_([this] { Serve(); }) {}

Logins::~Logins() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  helper_.join();
}

LoginCheck Logins::Check(const std::shared_ptr<const Users>& users, const LoginAttempt& attempt,
                         const LoginWaiter& waiter, TimePoint now) {
  if (backoff_.Blocks(attempt.client, now)) return {LoginOutcome::kThrottled};
  const User* const known = users->Find(attempt.name);
  const User& user = known != nullptr ? *known : users->stand_in();
  if (!user.plain()) return Queue(users, known, attempt, waiter, now);
  const bool matches = users->MatchesPlain(user, attempt.name, attempt.password);
  if (!matches || known == nullptr) {
    backoff_.Failed(attempt.client, now);
    return {LoginOutcome::kWrong};
  }
  backoff_.Succeeded(attempt.client);
  return {LoginOutcome::kAccepted, known};
}

LoginCheck Logins::Queue(const std::shared_ptr<const Users>& users, const User* known, const LoginAttempt& attempt,
                         const LoginWaiter& waiter, TimePoint now) {
  LoginJob job;
  job.client = ClientNetwork(attempt.client);
  job.users = users;
  job.user = known != nullptr ? known : &users->stand_in();
  job.known = known != nullptr;
  job.login = KeyedDigest(key_)
                  .Add(job.user->hash.Reveal())
                  .Add(job.known ? "known" : "")
                  .Add(attempt.name)
                  .Add(attempt.password.Reveal())
                  .Finish();
  // Jobs of two clients are never one: the turn of the first and its failures are no business of the second.
  job.ticket = KeyedDigest(key_).Add(job.login).Add(job.client.bytes()).Finish();
  LoginCheck check{LoginOutcome::kPending, nullptr, job.ticket};

  LoginQueue::Added added;
  {
    const std::lock_guard lock(mutex_);
    latest_ = std::max(latest_, now);
    if (verified_.Knows(job.login)) {
      check = {LoginOutcome::kAccepted, known};
    } else if (!queue_.Join(job.ticket, waiter)) {
      job.password = Secret(attempt.password);
      job.waiters.push_back(waiter);
      added = queue_.Add(std::move(job));
      if (!added.added) check = {LoginOutcome::kThrottled};
    }
  }
  if (check.outcome == LoginOutcome::kAccepted) backoff_.Succeeded(attempt.client);
  if (added.added) changed_.notify_one();
  if (added.displaced) Tell(*added.displaced, LoginOutcome::kThrottled, now);
  return check;
}

void Logins::Withdraw(const Digest& ticket, const LoginWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  queue_.Withdraw(ticket, waiter);
}

std::uint64_t Logins::hashes() const {
  const std::lock_guard lock(mutex_);
  return hashes_;
}

void Logins::Serve() {
  ::pthread_setname_np(::pthread_self(), "logins");
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || queue_.waiting() > 0; });
    if (stopping_) return;
    const LoginJob& next = *queue_.Next();
    const LoginOutcome outcome = Verify(lock, next);
    const LoginJob job = queue_.Finish(next.ticket);
    const TimePoint now = latest_;
    lock.unlock();
    Tell(job, outcome, now);
    lock.lock();
  }
}

// Gives up the lock while it computes.
LoginOutcome Logins::Verify(std::unique_lock<std::mutex>& lock, const LoginJob& job) {
  // Since it was queued, its client's earlier guesses may have failed, or another client may have logged in with it.
  if (backoff_.Blocks(job.client, latest_)) return LoginOutcome::kThrottled;
  if (verified_.Knows(job.login)) return LoginOutcome::kAccepted;
  ++hashes_;
  lock.unlock();
  const bool matches = HashMatches(job.password, job.user->hash);
  lock.lock();
  if (!matches || !job.known) return LoginOutcome::kWrong;
  verified_.Remember(job.login);
  return LoginOutcome::kAccepted;
}

// However many waited for it, it was one attempt.
void Logins::Tell(const LoginJob& job, LoginOutcome outcome, TimePoint now) {
  if (outcome == LoginOutcome::kWrong) backoff_.Failed(job.client, now);
  if (outcome == LoginOutcome::kAccepted) backoff_.Succeeded(job.client);
  const User* const user = outcome == LoginOutcome::kAccepted ? job.user : nullptr;
  for (const LoginWaiter& waiter : job.waiters) waiter.mailbox->Put({waiter.session, outcome, job.users, user});
}

}  // namespace penstock

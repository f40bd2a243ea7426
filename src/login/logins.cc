#include "penstock/login/logins.h"

#include <algorithm>
#include <utility>

#include "penstock/base/limits.h"
#include "penstock/os/password_hash.h"
#include "penstock/os/random.h"

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

Logins::Logins(std::size_t threads) : key_(RandomKey()), backoff_(key_), verified_(kLoginDigestsCached) {
  try {
    while (threads_.size() < threads) threads_.emplace_back("logins", [this] { RunThread(); });
  } catch (...) {
    Stop();
    throw;
  }
}

void Logins::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (Thread& thread : threads_) thread.Join();
}

LoginCheck Logins::Check(const std::shared_ptr<const Users>& users, const LoginAttempt& attempt,
                         const LoginWaiter& waiter, TimePoint now) {
  LoginJob job = MakeJob(users, attempt);
  const Backoff::Verdict verdict = backoff_.Evaluate(job.attempt, now);
  if (verdict == Backoff::Verdict::kRefuse) return {LoginOutcome::kThrottled};
  if (IsCached(job, verdict, now)) return {LoginOutcome::kAccepted, job.user};
  if (verdict == Backoff::Verdict::kCachedOnly) {
    if (job.known) backoff_.Missed(job.attempt, job.login, now);
    return {LoginOutcome::kThrottled};
  }
  return job.user->plain() ? VerifyPlain(job, attempt, now) : Queue(std::move(job), attempt, waiter);
}

// The job without its password and its waiters.
LoginJob Logins::MakeJob(const std::shared_ptr<const Users>& users, const LoginAttempt& attempt) const {
  const User* const known = users->Find(attempt.name);
  LoginJob job;
  const auto address = attempt.client.bytes();
  job.network = KeyedDigest(key_).Add(address.first(attempt.client.is_v4() ? 3 : 6)).Finish();
  job.attempt = backoff_.AttemptOf(attempt.client, attempt.name);
  job.users = users;
  job.user = known != nullptr ? known : &users->stand_in();
  job.known = known != nullptr;
  job.login = KeyedDigest(key_)
                  .Add(job.user->credential)
                  .Add(job.known ? "known" : "")
                  .Add(attempt.name)
                  .Add(attempt.password.Reveal())
                  .Finish();
  // Two clients never share a job: each has its own turn in the queue and its own failures.
  job.ticket = KeyedDigest(key_).Add(job.login).Add(job.attempt.client).Finish();
  return job;
}

bool Logins::IsCached(const LoginJob& job, Backoff::Verdict verdict, TimePoint now) {
  const std::lock_guard lock(mutex_);
  latest_ = std::max(latest_, now);
  if (verified_.Knows(job.ticket)) return true;
  if (verdict != Backoff::Verdict::kVerify || !verified_.Knows(job.login)) return false;
  verified_.Remember(job.ticket);
  return true;
}

LoginCheck Logins::VerifyPlain(const LoginJob& job, const LoginAttempt& attempt, TimePoint now) {
  if (!job.users->MatchesPlain(*job.user, attempt.name, attempt.password) || !job.known) {
    backoff_.Failed(job.attempt, now);
    return {LoginOutcome::kWrong};
  }
  backoff_.Succeeded(job.attempt, now);
  const std::lock_guard lock(mutex_);
  verified_.Remember(job.ticket);
  return {LoginOutcome::kAccepted, job.user};
}

LoginCheck Logins::Queue(LoginJob job, const LoginAttempt& attempt, const LoginWaiter& waiter) {
  LoginCheck check{LoginOutcome::kPending, nullptr, job.ticket};
  LoginQueue::Added added;
  {
    const std::lock_guard lock(mutex_);
    if (!queue_.Join(job.ticket, waiter)) {
      job.password = Secret(attempt.password);
      job.waiters.push_back(waiter);
      added = queue_.Add(std::move(job));
      if (!added.added) check = {LoginOutcome::kThrottled};
    }
  }
  if (added.added) changed_.notify_one();
  if (added.displaced) Deliver(*added.displaced, LoginOutcome::kThrottled);
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

std::size_t Logins::waiting() const {
  const std::lock_guard lock(mutex_);
  return queue_.waiting();
}

void Logins::RunThread() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || queue_.has_next(); });
    if (stopping_) return;
    const LoginJob& next = *queue_.Next();
    const LoginOutcome outcome = Verify(lock, next);
    // Count it before the same client's next job can start. However many sessions wait for it, it is one attempt.
    if (outcome == LoginOutcome::kWrong) backoff_.Failed(next.attempt, latest_);
    if (outcome == LoginOutcome::kAccepted) backoff_.Succeeded(next.attempt, latest_);
    const LoginJob job = queue_.Finish(next.ticket);
    lock.unlock();
    Deliver(job, outcome);
    lock.lock();
  }
}

// Releases the lock while it computes the hash.
LoginOutcome Logins::Verify(std::unique_lock<std::mutex>& lock, const LoginJob& job) {
  // While it was queued, earlier attempts of its client may have failed, or another client may have verified it.
  if (backoff_.Evaluate(job.attempt, latest_) != Backoff::Verdict::kVerify) return LoginOutcome::kThrottled;
  if (!verified_.Knows(job.login)) {
    ++hashes_;
    lock.unlock();
    const bool matches = HashMatches(job.password, job.user->hash);
    lock.lock();
    if (!matches || !job.known) return LoginOutcome::kWrong;
    verified_.Remember(job.login);
  }
  verified_.Remember(job.ticket);
  return LoginOutcome::kAccepted;
}

void Logins::Deliver(const LoginJob& job, LoginOutcome outcome) {
  const User* const user = outcome == LoginOutcome::kAccepted ? job.user : nullptr;
  for (const LoginWaiter& waiter : job.waiters) waiter.mailbox->Put({waiter.session, outcome, job.users, user});
}

}  // namespace penstock

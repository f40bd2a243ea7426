// Whether a name and a password belong together: the verdict at once where that is cheap, later where crypt(3) has to
// be asked, which takes milliseconds by intention and happens on threads of its own.
// Owned by the server; Check and Withdraw: any thread. Mailboxes must outlive it.
// Invariant: a wrong name and a wrong password take the same path. What is verified once is recognised by a keyed
// digest of credential, name and password, so a changed password or a dropped user is not. During a wait (backoff.h)
// a login is recognised only if it was verified for the same client before, and that neither shortens the wait nor
// forgives a failure. Who is kPending gets exactly one answer, unless it withdraws or the Logins end. A password lives
// here as a Secret, until its job is done.
// Deliberately not here: the table of users (whoever asks brings it, so that a reload may replace it), the protocol.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "penstock/base/digest.h"
#include "penstock/base/digest_memory.h"
#include "penstock/base/endpoint.h"
#include "penstock/base/secret.h"
#include "penstock/login/backoff.h"
#include "penstock/login/queue.h"
#include "penstock/login/users.h"
#include "penstock/os/clock.h"
#include "penstock/os/poller.h"
#include "penstock/os/thread.h"

namespace penstock {

enum class LoginOutcome : std::uint8_t {
  kPending,  // the answer will come into the mailbox
  kAccepted,
  kWrong,      // the name, or the password
  kThrottled,  // not looked at: the client has to wait after failures, or too many logins wait
};

// An answer that took its time.
struct LoginAnswer {
  Handle session;
  LoginOutcome outcome = LoginOutcome::kWrong;  // not kPending
  std::shared_ptr<const Users> users;           // the table that was asked
  const User* user = nullptr;                   // of `users`, when accepted
};

// Where a worker finds its answers.
class LoginMailbox {
 public:
  // `wake` ends the worker's wait; it must live as long.
  explicit LoginMailbox(const WakeUp& wake) : wake_(wake) {}
  LoginMailbox(const LoginMailbox&) = delete;
  LoginMailbox& operator=(const LoginMailbox&) = delete;

  void Put(LoginAnswer answer);

  // Replaces what is in `answers` by what has come. Its memory is used again, so the steady state allocates nothing.
  void TakeAll(std::vector<LoginAnswer>& answers);

 private:
  const WakeUp& wake_;
  std::mutex mutex_;
  std::vector<LoginAnswer> answers_;
};

struct LoginAttempt {
  std::string_view name;
  SecretView password;
  IpAddress client;
};

struct LoginCheck {
  LoginOutcome outcome = LoginOutcome::kWrong;
  const User* user = nullptr;  // of the table that was given, when accepted
  Digest ticket{};             // for Withdraw, when pending
};

class Logins {
 public:
  // Starts so many threads, with the signal mask of the caller. Throws std::system_error when the system has none left.
  explicit Logins(std::size_t threads);

  // Waits for the hashes under way at most; who is still waiting is not told.
  ~Logins() { Stop(); }
  Logins(const Logins&) = delete;
  Logins& operator=(const Logins&) = delete;

  LoginCheck Check(const std::shared_ptr<const Users>& users, const LoginAttempt& attempt, const LoginWaiter& waiter,
                   TimePoint now);

  // Whoever was pending is gone. An answer may be in its mailbox already.
  void Withdraw(const Digest& ticket, const LoginWaiter& waiter);

  // How many hashes were computed.
  std::uint64_t hashes() const;

 private:
  LoginJob Describe(const std::shared_ptr<const Users>& users, const LoginAttempt& attempt) const;
  bool Recognises(const LoginJob& job, Backoff::Verdict verdict, TimePoint now);
  LoginCheck JudgePlain(const LoginJob& job, const LoginAttempt& attempt, TimePoint now);
  LoginCheck Queue(LoginJob job, const LoginAttempt& attempt, const LoginWaiter& waiter);
  void Serve();
  void Stop();
  LoginOutcome Verify(std::unique_lock<std::mutex>& lock, const LoginJob& job);
  static void Tell(const LoginJob& job, LoginOutcome outcome);

  const DigestKey key_;
  Backoff backoff_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  LoginQueue queue_;
  DigestMemory verified_;  // logins and tickets of jobs
  TimePoint latest_{};     // the time, as far as anybody has told
  std::uint64_t hashes_ = 0;
  bool stopping_ = false;
  std::vector<Thread> helpers_;
};

}  // namespace penstock

// Verifies names and passwords: at once if the login is cached or the password is stored in plain text, otherwise on
// threads of its own, because crypt(3) takes milliseconds by design.
// Owned by the server; any thread may call Check and Withdraw. Mailboxes must outlive it.
// Invariants:
//   - A wrong name and a wrong password take the same path and the same time.
//   - A verified login is cached as a keyed digest of credential, name and password, so a changed password or a removed
//     user misses the cache.
//   - During a wait (backoff.h) a login is accepted only if it is cached for the same client. That neither shortens the
//     wait nor clears a failure.
//   - A pending check gets exactly one answer, unless it is withdrawn or the Logins are destroyed.
//   - A password is held as a Secret, and only until its hash has been computed.
// Does not: own the table of users (the caller passes the current one, so that a reload can replace it), speak RFC
// 1929.
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
  kPending,  // the answer will be put into the mailbox
  kAccepted,
  kWrong,      // wrong name or wrong password
  kThrottled,  // not verified: the client has to wait after failures, or the queue is full
};

// The answer to a check that was pending.
struct LoginAnswer {
  Handle session;
  LoginOutcome outcome = LoginOutcome::kWrong;  // not kPending
  std::shared_ptr<const Users> users;           // the table it was checked against
  const User* user = nullptr;                   // in `users`; set if accepted
};

// Carries answers to one worker. Any thread puts, the worker takes.
class LoginMailbox {
 public:
  // `wake` wakes the worker; it must outlive the mailbox.
  explicit LoginMailbox(const WakeUp& wake) : wake_(wake) {}
  LoginMailbox(const LoginMailbox&) = delete;
  LoginMailbox& operator=(const LoginMailbox&) = delete;

  void Put(LoginAnswer answer);

  // Replaces the contents of `answers` by the answers that have arrived. Swaps buffers: the steady state allocates
  // nothing.
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
  const User* user = nullptr;  // in the table that was passed; set if accepted
  Digest ticket{};             // for Withdraw; set if pending
};

class Logins {
 public:
  // Starts `threads` threads, which inherit the caller's signal mask. Throws std::system_error if one cannot be
  // started.
  explicit Logins(std::size_t threads);

  // Waits for the hashes that are being computed. Checks still in the queue get no answer.
  ~Logins() { Stop(); }
  Logins(const Logins&) = delete;
  Logins& operator=(const Logins&) = delete;

  // Checks a login against `users`. If the outcome is kPending, the answer goes to `waiter` later.
  LoginCheck Check(const std::shared_ptr<const Users>& users, const LoginAttempt& attempt, const LoginWaiter& waiter,
                   TimePoint now);

  // Cancels a pending check. Its answer may already be in the mailbox; the session's handle is stale by then.
  void Withdraw(const Digest& ticket, const LoginWaiter& waiter);

  // The number of hashes computed so far.
  std::uint64_t hashes() const;

  // How many jobs wait for a thread. Any thread.
  std::size_t waiting() const;

 private:
  LoginJob MakeJob(const std::shared_ptr<const Users>& users, const LoginAttempt& attempt) const;
  bool IsCached(const LoginJob& job, Backoff::Verdict verdict, TimePoint now);
  LoginCheck VerifyPlain(const LoginJob& job, const LoginAttempt& attempt, TimePoint now);
  LoginCheck Queue(LoginJob job, const LoginAttempt& attempt, const LoginWaiter& waiter);
  void RunThread();
  void Stop();
  LoginOutcome Verify(std::unique_lock<std::mutex>& lock, const LoginJob& job);
  static void Deliver(const LoginJob& job, LoginOutcome outcome);

  const DigestKey key_;
  Backoff backoff_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  LoginQueue queue_;
  DigestMemory verified_;  // LoginJob::login and ::ticket of verified logins
  TimePoint latest_{};     // the latest `now` that was passed to Check
  std::uint64_t hashes_ = 0;
  bool stopping_ = false;
  std::vector<Thread> threads_;
};

}  // namespace penstock

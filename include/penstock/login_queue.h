// Logins that wait for their hash to be computed, and whose turn is next.
// Owned by Logins, who lets one thread in at a time.
// Invariant: clients take turns, one job each, and nobody is in the row while a job of theirs is under way: somebody
// with many wrong guesses delays another client by the rest of one job. At most so many jobs wait in all and of one
// client; a full queue gives up one of the client with most of them for somebody who has fewer. Equal jobs are one job
// with many waiters.
// Deliberately not here: threads, hashes, and telling the waiters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "penstock/backoff.h"
#include "penstock/digest.h"
#include "penstock/endpoint.h"
#include "penstock/limits.h"
#include "penstock/secret.h"
#include "penstock/slab.h"
#include "penstock/users.h"

namespace penstock {

class LoginMailbox;

// Whom to tell: a session, by handle, through the mailbox of its worker.
struct LoginWaiter {
  LoginMailbox* mailbox = nullptr;
  Handle session;

  bool operator==(const LoginWaiter&) const = default;
};

struct LoginJob {
  Digest ticket;  // of login and client: equal jobs have equal ones
  Digest login;   // of credential, name and password
  Backoff::Attempt attempt;
  IpAddress client;  // as ClientNetwork has it
  std::shared_ptr<const Users> users;
  const User* user = nullptr;  // of `users`
  bool known = false;          // or else `user` is the stand-in, and nothing matches
  Secret password;
  std::vector<LoginWaiter> waiters;
};

class LoginQueue {
 public:
  // True when there is an equal job, waiting or under way, that `waiter` has joined.
  bool Join(const Digest& ticket, const LoginWaiter& waiter);

  struct Added {
    bool added = false;                 // or the queue has no room for it
    std::optional<LoginJob> displaced;  // another client's job that had to make room
  };
  Added Add(LoginJob job);

  // The job whose turn it is; null when none waits. It stays here, at the same address, for others to join: only its
  // waiters change.
  const LoginJob* Next();

  // Takes out the job that Next has given; one at a time is under way.
  LoginJob Finish(const Digest& ticket);

  // Somebody no longer wants to know. A job that nobody waits for is dropped, unless it is under way.
  void Withdraw(const Digest& ticket, const LoginWaiter& waiter);

  std::size_t waiting() const { return waiting_; }

 private:
  struct Client {
    std::deque<Digest> tickets;           // waiting, oldest first
    std::list<IpAddress>::iterator turn;  // in turns_; its end while a job is under way
  };
  using Clients = std::map<IpAddress, Client>;

  LoginJob Drop(Clients::iterator client, Digest ticket);

  std::unordered_map<Digest, LoginJob, DigestHash> jobs_;  // by ticket, waiting and under way
  Clients clients_;                                        // with jobs waiting or under way
  std::list<IpAddress> turns_;                             // with jobs waiting only, who is next comes first
  std::size_t waiting_ = 0;
};

}  // namespace penstock

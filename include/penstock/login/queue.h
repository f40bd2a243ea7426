// Logins that wait for their hash to be computed, and whose turn is next.
// Owned by Logins, who lets one thread in at a time; nothing here takes longer the more there is.
// Invariant: networks (an IPv4 /24, an IPv6 /48) take turns, within a network its clients do, and nobody is in the row
// while a job of theirs is under way. So somebody with many wrong guesses delays another client by the rest of one job,
// and somebody with many addresses delays another network by that. At most so many jobs wait in all and of one client.
// When the queue is full the network with most of them gives up the newest job of its client with most, so whoever has
// none there finds room. Equal jobs are one job with many waiters.
// Deliberately not here: threads, hashes, and telling the waiters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "penstock/base/digest.h"
#include "penstock/base/limits.h"
#include "penstock/base/secret.h"
#include "penstock/base/slab.h"
#include "penstock/login/backoff.h"
#include "penstock/login/users.h"

namespace penstock {

class LoginMailbox;

// Whom to tell: a session, by handle, through the mailbox of its worker.
struct LoginWaiter {
  LoginMailbox* mailbox = nullptr;
  Handle session;

  bool operator==(const LoginWaiter&) const = default;
};

struct LoginJob {
  Digest ticket{};           // of login and client: equal jobs have equal ones
  Digest login{};            // of credential, name and password
  Digest network{};          // of the client's network
  Backoff::Attempt attempt;  // its client, and the name
  std::shared_ptr<const Users> users;
  const User* user = nullptr;  // of `users`
  bool known = false;          // or else `user` is the stand-in, and nothing matches
  Secret password;
  std::vector<LoginWaiter> waiters;
};

class LoginQueue {
 public:
  LoginQueue();
  LoginQueue(const LoginQueue&) = delete;
  LoginQueue& operator=(const LoginQueue&) = delete;

  // True when there is an equal job, waiting or under way, that `waiter` has joined.
  bool Join(const Digest& ticket, const LoginWaiter& waiter);

  struct Added {
    bool added = false;                 // or its client has most
    std::optional<LoginJob> displaced;  // the job that had to make room
  };
  Added Add(LoginJob job);

  // The job whose turn it is; null when there is none. It stays here, at the same address, for others to join: only
  // its waiters change.
  const LoginJob* Next();
  bool has_next() const { return !turns_.empty(); }

  // Takes out a job that Next has given.
  LoginJob Finish(const Digest& ticket);

  // Somebody no longer wants to know. A job that nobody waits for is dropped, unless it is under way.
  void Withdraw(const Digest& ticket, const LoginWaiter& waiter);

  std::size_t waiting() const { return waiting_; }

 private:
  // A network or a client, and how many of its jobs wait.
  struct Holder {
    Digest key{};
    std::size_t waiting = 0;
    std::list<Holder*>::iterator rank;  // if any waits
  };

  // Holders by how many of their jobs wait.
  class Ranks {
   public:
    void Grow(Holder& holder);
    void Shrink(Holder& holder);

    // One with most; of several the one that has had as many for longest. There must be one.
    Holder& most() const { return *ranks_.back().front(); }

   private:
    std::vector<std::list<Holder*>> ranks_;  // [n]: of whom n + 1 wait; the last one is not empty
  };

  struct Client;
  struct Network : Holder {
    Ranks ranks;                         // of its clients
    std::size_t clients = 0;             // with jobs waiting or under way
    std::list<Client*> turns;            // of those with jobs waiting only, who is next comes first
    std::list<Network*>::iterator turn;  // if one of them has a turn
  };
  struct Client : Holder {
    Network* network = nullptr;
    std::list<Digest> tickets;  // waiting, oldest first
    bool under_way = false;     // a job is; then there is no turn
    std::list<Client*>::iterator turn;
  };
  struct Queued {
    LoginJob job;
    Client* client = nullptr;
    std::optional<std::list<Digest>::iterator> place;  // among the client's tickets, while it waits
  };
  using Jobs = std::unordered_map<Digest, Queued, DigestHash>;

  Client& ClientOf(const LoginJob& job);
  Client& Fullest(Client& newcomer);
  void Wait(Client& client, LoginJob job);
  void EndWait(Queued& queued);
  LoginJob Drop(Jobs::iterator queued);
  void GiveTurn(Client& client);
  void TakeTurn(Client& client);
  void Forget(Client& client);

  Jobs jobs_;  // by ticket, waiting and under way
  std::unordered_map<Digest, Client, DigestHash> clients_;
  std::unordered_map<Digest, Network, DigestHash> networks_;
  Ranks ranks_;                // of networks
  std::list<Network*> turns_;  // who is next comes first
  std::size_t waiting_ = 0;
};

}  // namespace penstock

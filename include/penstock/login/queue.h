// The queue of logins whose hash has to be computed, with fair turns.
// Owned by Logins, which calls under its mutex. Every operation takes constant time, whatever the length of the queue.
// Invariants:
//   - Round robin over networks (IPv4 /24, IPv6 /48), and within a network over its clients. A client with a job under
//     way has no turn. So one client's wrong guesses delay another client by the rest of one job, and one network's
//     many addresses delay another network by one job.
//   - The number of queued jobs is bounded, in all and for each client. If the queue is full, the network with the most
//     jobs loses the newest job of its client with the most, so a newcomer with no job finds room.
//   - Equal jobs are one job with several waiters.
// Does not: run threads, compute hashes, deliver answers.
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

// Who gets the answer: a session, by handle, through the mailbox of its worker.
struct LoginWaiter {
  LoginMailbox* mailbox = nullptr;
  Handle session;

  bool operator==(const LoginWaiter&) const = default;
};

struct LoginJob {
  Digest ticket{};           // digest of login and client; equal jobs have equal tickets
  Digest login{};            // digest of credential, name and password
  Digest network{};          // digest of the client's network
  Backoff::Attempt attempt;  // client and name
  std::shared_ptr<const Users> users;
  const User* user = nullptr;  // in `users`
  bool known = false;          // false: there is no such user, `user` is the stand-in, and no password matches
  Secret password;
  std::vector<LoginWaiter> waiters;
};

class LoginQueue {
 public:
  LoginQueue();
  LoginQueue(const LoginQueue&) = delete;
  LoginQueue& operator=(const LoginQueue&) = delete;

  // Adds `waiter` to the job with this ticket, queued or under way. False if there is none.
  bool Join(const Digest& ticket, const LoginWaiter& waiter);

  struct Added {
    bool added = false;                 // false: its client is at its limit, or already has the most in a full queue
    std::optional<LoginJob> displaced;  // the job that was dropped to make room
  };
  // Queues a job whose ticket is not in the queue.
  Added Add(LoginJob job);

  // Starts the job whose turn it is; null if no job can start. It stays in the queue, at the same address, so that
  // others can join it: only its waiters change.
  const LoginJob* Next();
  bool has_next() const { return !turns_.empty(); }

  // Removes a job that Next() returned.
  LoginJob Finish(const Digest& ticket);

  // Removes `waiter`. A job without waiters is dropped, unless it is under way.
  void Withdraw(const Digest& ticket, const LoginWaiter& waiter);

  std::size_t waiting() const { return waiting_; }

 private:
  // A network or a client.
  struct Holder {
    Digest key{};
    std::size_t waiting = 0;            // its queued jobs
    std::list<Holder*>::iterator rank;  // valid if waiting > 0
  };

  // Holders, ordered by their number of queued jobs.
  class Ranks {
   public:
    void Grow(Holder& holder);
    void Shrink(Holder& holder);

    // The holder with the most; of several, the one that reached that number first. There must be one.
    Holder& most() const { return *ranks_.back().front(); }

   private:
    std::vector<std::list<Holder*>> ranks_;  // [n]: holders of n + 1 queued jobs; the last list is not empty
  };

  struct Client;
  struct Network : Holder {
    Ranks ranks;                         // of its clients
    std::size_t clients = 0;             // clients with jobs queued or under way
    std::list<Client*> turns;            // clients with queued jobs and none under way; the next one first
    std::list<Network*>::iterator turn;  // valid if `turns` is not empty
  };
  struct Client : Holder {
    Network* network = nullptr;
    std::list<Digest> tickets;  // its queued jobs, oldest first
    bool under_way = false;     // one of its jobs is under way; it has no turn
    std::list<Client*>::iterator turn;
  };
  struct Queued {
    LoginJob job;
    Client* client = nullptr;
    std::optional<std::list<Digest>::iterator> place;  // in client->tickets; none once it is under way
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

  Jobs jobs_;  // by ticket; queued and under way
  std::unordered_map<Digest, Client, DigestHash> clients_;
  std::unordered_map<Digest, Network, DigestHash> networks_;
  Ranks ranks_;                // of networks
  std::list<Network*> turns_;  // networks with a client that has a turn; the next one first
  std::size_t waiting_ = 0;
};

}  // namespace penstock

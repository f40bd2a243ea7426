#include "penstock/login/queue.h"

#include <cassert>
#include <iterator>
#include <utility>

namespace penstock {

// Reserves everything, so that no table is rehashed while other threads wait for the mutex.
LoginQueue::LoginQueue() {
  jobs_.reserve(kLoginsQueuedMax);
  clients_.reserve(kLoginsQueuedMax);
  networks_.reserve(kLoginsQueuedMax);
}

bool LoginQueue::Join(const Digest& ticket, const LoginWaiter& waiter) {
  const auto queued = jobs_.find(ticket);
  if (queued == jobs_.end()) return false;
  queued->second.job.waiters.push_back(waiter);
  return true;
}

LoginQueue::Added LoginQueue::Add(LoginJob job) {
  assert(!jobs_.contains(job.ticket));
  Added result;
  Client& client = ClientOf(job);
  if (client.waiting >= kLoginsQueuedPerClient) return result;
  if (waiting_ >= kLoginsQueuedMax) {
    const Client& fullest = Fullest(client);
    if (&fullest == &client) return result;
    result.displaced = Drop(jobs_.find(fullest.tickets.back()));
  }
  Wait(client, std::move(job));
  result.added = true;
  return result;
}

const LoginJob* LoginQueue::Next() {
  if (turns_.empty()) return nullptr;
  Network& network = *turns_.front();
  Client& client = *network.turns.front();
  TakeTurn(client);
  if (!network.turns.empty()) turns_.splice(turns_.end(), turns_, network.turn);
  client.under_way = true;
  Queued& queued = jobs_.find(client.tickets.front())->second;
  EndWait(queued);
  return &queued.job;
}

LoginJob LoginQueue::Finish(const Digest& ticket) {
  const auto queued = jobs_.extract(ticket);
  Client& client = *queued.mapped().client;
  assert(client.under_way);
  client.under_way = false;
  if (client.waiting > 0) {
    GiveTurn(client);
  } else {
    Forget(client);
  }
  return std::move(queued.mapped().job);
}

void LoginQueue::Withdraw(const Digest& ticket, const LoginWaiter& waiter) {
  const auto queued = jobs_.find(ticket);
  if (queued == jobs_.end()) return;
  std::erase(queued->second.job.waiters, waiter);
  if (queued->second.job.waiters.empty() && queued->second.place) Drop(queued);
}

void LoginQueue::Ranks::Grow(Holder& holder) {
  if (ranks_.size() == holder.waiting) ranks_.emplace_back();
  auto& rank = ranks_[holder.waiting];
  if (holder.waiting == 0) {
    holder.rank = rank.insert(rank.end(), &holder);
  } else {
    rank.splice(rank.end(), ranks_[holder.waiting - 1], holder.rank);
  }
  ++holder.waiting;
}

void LoginQueue::Ranks::Shrink(Holder& holder) {
  --holder.waiting;
  auto& rank = ranks_[holder.waiting];
  if (holder.waiting == 0) {
    rank.erase(holder.rank);
  } else {
    auto& below = ranks_[holder.waiting - 1];
    below.splice(below.end(), rank, holder.rank);
  }
  if (ranks_.back().empty()) ranks_.pop_back();
}

LoginQueue::Client& LoginQueue::ClientOf(const LoginJob& job) {
  Client& client = clients_[job.attempt.client];
  if (client.network == nullptr) {
    client.key = job.attempt.client;
    client.network = &networks_[job.network];
    client.network->key = job.network;
    ++client.network->clients;
  }
  return client;
}

// The client with the most jobs in the network with the most jobs; `newcomer` if no other has more.
LoginQueue::Client& LoginQueue::Fullest(Client& newcomer) {
  auto& network = static_cast<Network&>(ranks_.most());
  Network& own = *newcomer.network;
  Network& fullest = own.waiting >= network.waiting ? own : network;
  auto& client = static_cast<Client&>(fullest.ranks.most());
  return &fullest == &own && newcomer.waiting >= client.waiting ? newcomer : client;
}

void LoginQueue::Wait(Client& client, LoginJob job) {
  const Digest ticket = job.ticket;
  const auto place = client.tickets.insert(client.tickets.end(), ticket);
  jobs_.emplace(ticket, Queued{std::move(job), &client, place});
  client.network->ranks.Grow(client);
  ranks_.Grow(*client.network);
  ++waiting_;
  if (client.waiting == 1 && !client.under_way) GiveTurn(client);
}

void LoginQueue::EndWait(Queued& queued) {
  Client& client = *queued.client;
  client.tickets.erase(*queued.place);
  queued.place.reset();
  client.network->ranks.Shrink(client);
  ranks_.Shrink(*client.network);
  --waiting_;
}

LoginJob LoginQueue::Drop(Jobs::iterator queued) {
  Client& client = *queued->second.client;
  EndWait(queued->second);
  LoginJob job = std::move(queued->second.job);
  jobs_.erase(queued);
  if (client.waiting == 0 && !client.under_way) {
    TakeTurn(client);
    Forget(client);
  }
  return job;
}

void LoginQueue::GiveTurn(Client& client) {
  Network& network = *client.network;
  if (network.turns.empty()) network.turn = turns_.insert(turns_.end(), &network);
  client.turn = network.turns.insert(network.turns.end(), &client);
}

void LoginQueue::TakeTurn(Client& client) {
  Network& network = *client.network;
  network.turns.erase(client.turn);
  if (network.turns.empty()) turns_.erase(network.turn);
}

void LoginQueue::Forget(Client& client) {
  Network& network = *client.network;
  clients_.erase(Digest(client.key));
  if (--network.clients == 0) networks_.erase(Digest(network.key));
}

}  // namespace penstock

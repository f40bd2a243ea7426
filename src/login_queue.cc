#include "penstock/login_queue.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace penstock {

bool LoginQueue::Join(const Digest& ticket, const LoginWaiter& waiter) {
  const auto job = jobs_.find(ticket);
  if (job == jobs_.end()) return false;
  job->second.waiters.push_back(waiter);
  return true;
}

LoginQueue::Added LoginQueue::Add(LoginJob job) {
  assert(!jobs_.contains(job.ticket));
  Added result;
  const auto mine = clients_.find(job.client);
  const std::size_t have = mine == clients_.end() ? 0 : mine->second.tickets.size();
  if (have >= kLoginsQueuedPerClient) return result;
  if (waiting_ >= kLoginsQueuedMax) {
    const auto most = std::ranges::max_element(
        clients_, {}, [](const Clients::value_type& client) { return client.second.tickets.size(); });
    // Somebody who already has as many would only take its place.
    if (most->second.tickets.size() <= have + 1) return result;
    result.displaced = Drop(most, most->second.tickets.back());
  }
  const auto [client, fresh] = clients_.try_emplace(job.client);
  if (fresh) client->second.turn = turns_.insert(turns_.end(), job.client);
  client->second.tickets.push_back(job.ticket);
  ++waiting_;
  const Digest ticket = job.ticket;
  jobs_.emplace(ticket, std::move(job));
  result.added = true;
  return result;
}

const LoginJob* LoginQueue::Next() {
  if (turns_.empty()) return nullptr;
  Client& client = clients_.find(turns_.front())->second;
  turns_.pop_front();
  client.turn = turns_.end();
  const Digest ticket = client.tickets.front();
  client.tickets.pop_front();
  --waiting_;
  return &jobs_.find(ticket)->second;
}

LoginJob LoginQueue::Finish(const Digest& ticket) {
  LoginJob job = std::move(jobs_.extract(ticket).mapped());
  const auto client = clients_.find(job.client);
  assert(client->second.turn == turns_.end());
  if (client->second.tickets.empty()) {
    clients_.erase(client);
  } else {
    client->second.turn = turns_.insert(turns_.end(), job.client);
  }
  return job;
}

void LoginQueue::Withdraw(const Digest& ticket, const LoginWaiter& waiter) {
  const auto job = jobs_.find(ticket);
  if (job == jobs_.end()) return;
  std::erase(job->second.waiters, waiter);
  const auto client = clients_.find(job->second.client);
  if (!job->second.waiters.empty() || client == clients_.end()) return;
  const auto& tickets = client->second.tickets;
  if (std::ranges::find(tickets, ticket) != tickets.end()) Drop(client, ticket);
}

LoginJob LoginQueue::Drop(Clients::iterator client, Digest ticket) {
  LoginJob job = std::move(jobs_.extract(ticket).mapped());
  std::erase(client->second.tickets, ticket);
  --waiting_;
  if (client->second.tickets.empty() && client->second.turn != turns_.end()) {
    turns_.erase(client->second.turn);
    clients_.erase(client);
  }
  return job;
}

}  // namespace penstock

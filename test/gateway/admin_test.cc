// The admin interface over real sockets: requests in any segments, slow and hostile clients, its limits and its files.
#include "penstock/admin/admin.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <initializer_list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "penstock/base/limits.h"
#include "penstock/config/config.h"
#include "test/support/admin.h"
#include "test/support/exchange.h"
#include "test/support/gateway.h"
#include "test/support/temp_directory.h"

namespace penstock::test {
namespace {

TEST_SUITE_BEGIN("admin");

// More than the kernel queues for the reader of a Unix socket, and of a TCP connection.
constexpr std::size_t kLarge = 1024 * 1024;
constexpr std::size_t kHuge = 32 * 1024 * 1024;

// An admin interface with routes of its own. The descriptors and threads at its end are those before it.
class TestAdmin {
 public:
  // The events of /events have this size at least.
  explicit TestAdmin(const AdminSettings& settings = TestAdminSettings(), std::size_t event_bytes = 0)
      : events_([this, event_bytes] { return Event(++events_made_, event_bytes); }) {
    const auto send = [](std::size_t bytes) {
      return [bytes](const Request&) { return Response{200, "text/plain", std::string(bytes, 'x')}; };
    };
    std::string error;
    admin_ = Admin::Start(settings,
                          {{Method::kGet, "/", [](const Request&) { return TextResponse(200, "hello"); }},
                           {Method::kPost, "/", [](const Request& request) { return TextResponse(200, request.body); }},
                           {Method::kGet, "/events", [this](const Request&) { return Stream(); }},
                           {Method::kGet, "/large", send(kLarge)},
                           {Method::kGet, "/huge", send(kHuge)}},
                          &error);
    if (admin_ == nullptr) throw std::runtime_error(error);
  }
  ~TestAdmin() {
    Stop();
    CHECK(ToText(Descriptors()) == ToText(before_));
    CHECK(WaitUntil([&] { return Threads() <= threads_before_; }));
  }
  TestAdmin(const TestAdmin&) = delete;
  TestAdmin& operator=(const TestAdmin&) = delete;

  const Endpoint& at(std::size_t index = 0) const { return admin_->listening()[index]; }
  Peer Client(Peer::Buffers buffers = {}) const { return Peer::To(at(), buffers); }
  int events_made() const { return events_made_; }
  void Stop() { admin_.reset(); }

  static std::string Event(int number, std::size_t bytes) {
    return "data: " + std::to_string(number) + ' ' + std::string(bytes, 'x') + "\n\n";
  }

 private:
  Response Stream() {
    EventReader reader = events_.Join();
    if (reader == nullptr) return TextResponse(503, "full");
    return {.status = 200, .content_type = "text/event-stream", .events = std::move(reader)};
  }

  const std::map<std::string, std::size_t> before_ = Descriptors();
  const std::size_t threads_before_ = Threads();
  std::atomic<int> events_made_{0};
  EventSource events_;
  std::unique_ptr<Admin> admin_;
};

std::string PostOf(std::string_view body) {
  return "POST / HTTP/1.1\r\nHost: localhost\r\n" + std::string(kToken) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

TEST_CASE("admin: a connection answers one request after the other, and HEAD without a body") {
  const TestAdmin admin;
  const Peer client = admin.Client();
  const Answer answer = Ask(client, RequestFor("/"));
  CHECK(answer.status == 200);
  CHECK(answer.body == "hello\n");
  CHECK(answer.head.find("\r\nX-Content-Type-Options: nosniff\r\n") != std::string::npos);
  CHECK(answer.head.find("\r\nAccess-Control") == std::string::npos);
  client.Send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(ReceiveAnswer(client, true).head == answer.head);
  CHECK(Ask(client, RequestFor("/missing")).status == 404);
  CHECK(Ask(client, PostOf("abc")).body == "abc\n");
}

TEST_CASE("admin: requests that come glued are answered in their order, more than a turn's share of them") {
  const TestAdmin admin;
  const Peer client = admin.Client();
  constexpr int kCount = 20 * kAdminRequestsPerTurn;
  std::string all;
  for (int i = 0; i < kCount; ++i) all += PostOf(std::to_string(i));
  client.Send(all);
  client.HalfClose();
  for (int i = 0; i < kCount; ++i) CHECK(ReceiveAnswer(client).body == std::to_string(i) + '\n');
  CHECK(client.ReceiveToEnd().empty());
}

TEST_CASE("admin: a request in single bytes is answered") {
  const TestAdmin admin;
  const Peer client = admin.Client();
  for (const char c : RequestFor("/")) client.Send({&c, 1});
  CHECK(ReceiveAnswer(client).status == 200);
}

TEST_CASE("admin: HTTP/1.0, close and an error end the connection after their answer, whatever follows") {
  const TestAdmin admin;
  for (const auto& [request, status] : std::initializer_list<std::pair<std::string, int>>{
           {"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 200},
           {RequestFor("/", "Connection: close\r\n"), 200},
           {RequestFor("/", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400},
           {RequestFor("/", "Transfer-Encoding: chunked\r\n"), 501},
           {RequestFor("/", "A: " + std::string(kAdminRequestBytesMax, 'x')), 431},
           {RequestFor("/", "Content-Length: 100000\r\n"), 413}}) {
    const Peer client = admin.Client();
    client.Send(request + RequestFor("/missing") + std::string(20'000, 'x'));
    const Answer answer = ReceiveAnswer(client);
    CHECK(answer.status == status);
    CHECK(answer.head.find("\r\nConnection: close\r\n") != std::string::npos);
    CHECK(client.ReceiveToEnd().empty());
  }
}

TEST_CASE("admin: a client that goes on sending after the last answer is cut off") {
  const TestAdmin admin;
  const Peer client = admin.Client();
  client.Send("bad\r\n");
  CHECK(ReceiveAnswer(client).status == 400);
  CHECK(WaitUntil([&] { return client.SendSome(std::string(64 * 1024, 'x')) == 0; }));
}

TEST_CASE("admin: an unfinished request gets 408, and an idle connection is closed without a word") {
  AdminSettings settings = TestAdminSettings();
  settings.timeout = milliseconds(100);
  const TestAdmin admin(settings);
  const Peer idle = admin.Client();
  const Peer head = admin.Client();
  const Peer body = admin.Client();
  head.Send("GET / HT");
  body.Send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx");
  for (const Peer* const client : {&head, &body}) {
    CHECK(ReceiveAnswer(*client).status == 408);
    CHECK(client->ReceiveToEnd().empty());
  }
  CHECK(idle.ReceiveToEnd().empty());
}

TEST_CASE("admin: single bytes do not extend the time of a request") {
  AdminSettings settings = TestAdminSettings();
  settings.timeout = milliseconds(300);
  const TestAdmin admin(settings);
  const Peer client = admin.Client();
  client.Send("GET /");
  std::string answer;
  CHECK(WaitUntil([&] {
    client.SendSome("x");
    answer += client.ReceiveSome(4096);
    return answer.starts_with("HTTP/1.1 408 ");
  }));
}

TEST_CASE("admin: a reader that takes nothing of its answer is reset; others are served meanwhile") {
  AdminSettings settings = TestAdminSettings();
  settings.timeout = milliseconds(500);
  const TestAdmin admin(settings);
  const std::size_t before = Sockets();
  const Peer slow = admin.Client({4096, 0});
  slow.Send(RequestFor("/huge"));
  CHECK(slow.Receive(9) == "HTTP/1.1 ");
  CHECK(Ask(admin.Client(), RequestFor("/")).status == 200);
  CHECK(WaitUntil([&] { return Sockets() == before + 1; }));  // the client's own end
  CHECK(slow.ReceiveToReset().size() < kHuge);
}

TEST_CASE("admin: a large answer arrives whole, and a client that pipelines gets both") {
  const TestAdmin admin;
  const Peer client = admin.Client();
  client.Send(RequestFor("/huge") + RequestFor("/"));
  CHECK((ReceiveAnswer(client).body == std::string(kHuge, 'x')));
  CHECK(ReceiveAnswer(client).body == "hello\n");
}

TEST_CASE("admin: clients that reset their connection in any state leave nothing behind") {
  const TestAdmin admin;
  const std::size_t before = Sockets();
  for (const std::string& request : {std::string(), std::string("GET /"), RequestFor("/"), RequestFor("/huge"),
                                     std::string("bad\r\n"), RequestFor("/huge") + RequestFor("/huge")}) {
    Peer client = admin.Client();
    if (!request.empty()) client.Send(request);
    client.Abort();
    Peer half = admin.Client();
    if (!request.empty()) half.Send(request);
    half.HalfClose();
    half.Close();
  }
  CHECK(WaitUntil([&] { return Sockets() == before; }));
  CHECK(Ask(admin.Client(), RequestFor("/")).status == 200);
}

TEST_CASE("admin: connection 65 replaces the one that has waited longest for a request") {
  const TestAdmin admin;
  std::vector<Peer> clients;
  for (std::size_t i = 0; i < kAdminConnectionsMax; ++i) {
    clients.push_back(admin.Client());
    CHECK(Ask(clients.back(), RequestFor("/")).status == 200);
  }
  CHECK(Ask(clients[0], RequestFor("/")).status == 200);  // so number 1 has waited longest
  const Peer next = admin.Client();
  CHECK(Ask(next, RequestFor("/")).status == 200);
  CHECK(clients[1].ReceiveToEnd().empty());
  CHECK(Ask(clients[0], RequestFor("/")).status == 200);
  CHECK(Ask(clients[2], RequestFor("/")).status == 200);
}

// Clients that take nothing of their answers would otherwise lock out everybody for the timeout.
TEST_CASE(
    "admin: while 64 connections are being answered, the next one replaces the one that has taken nothing for "
    "longest") {
  const TempDirectory directory;
  AdminSettings settings;
  settings.sockets = {directory.PathOf("admin")};
  const TestAdmin admin(settings);
  std::vector<Peer> clients;
  for (std::size_t i = 0; i < kAdminConnectionsMax; ++i) {
    clients.push_back(ToSocket(settings.sockets[0]));
    clients.back().Send(RequestFor("/large"));
    CHECK(clients.back().Receive(9) == "HTTP/1.1 ");
  }
  const Peer next = ToSocket(settings.sockets[0]);
  CHECK(Ask(next, RequestFor("/")).status == 200);
  CHECK(clients[0].ReceiveToClose().size() < kLarge);
  for (const Peer* const client : {&clients[1], &clients.back()}) {
    CHECK(client->Receive(kLarge / 2).size() == kLarge / 2);
  }
}

TEST_CASE("admin: clients that hold all connections and open new ones all the time lock out nobody") {
  const TempDirectory directory;
  AdminSettings settings = TestAdminSettings();
  settings.sockets = {directory.PathOf("admin")};
  const TestAdmin admin(settings);
  std::vector<Peer> held;
  for (int round = 0; round < 20; ++round) {
    for (std::size_t i = 0; i < kAdminConnectionsMax; ++i) {
      held.push_back(admin.Client());
      held.back().Send(i % 2 == 0 ? "GET /" : RequestFor("/large"));
    }
    CHECK(Ask(ToSocket(settings.sockets[0]), RequestFor("/")).status == 200);
    if (held.size() > 4 * kAdminConnectionsMax) held.erase(held.begin(), held.begin() + kAdminConnectionsMax);
  }
}

TEST_CASE("admin: without descriptors connections wait in the backlog and cost no CPU time") {
  const TestAdmin admin;
  Peer first = admin.Client();
  CHECK(Ask(first, RequestFor("/")).status == 200);
  Peer waiting = Peer::Unconnected(kLoopback, {});
  NoMoreDescriptors none;
  waiting.Connect(admin.at());
  waiting.Send(RequestFor("/"));
  const milliseconds used = CpuTime();
  CHECK(waiting.Silent(milliseconds(300)));
  CHECK(CpuTime() - used < milliseconds(IsSanitized() ? 250 : 100));
  CHECK(Ask(first, RequestFor("/")).status == 200);
  none.Free(1);
  CHECK(ReceiveAnswer(waiting).status == 200);
}

TEST_CASE("admin: a Unix socket has mode 0660, needs no token, and its file goes with the interface") {
  const TempDirectory directory;
  const std::string path = directory.PathOf("admin");
  AdminSettings settings;
  settings.sockets = {path};
  settings.token = std::make_shared<const Secret>("open-sesame");
  {
    const TestAdmin admin(settings);
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0660);
    CHECK(Ask(ToSocket(path), "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200);
    CHECK(Ask(ToSocket(path), "GET / HTTP/1.0\r\n\r\n").status == 200);
    std::string error;
    CHECK(Admin::Start(settings, {}, &error) == nullptr);
    CHECK(error.find("another process listens there") != std::string::npos);
  }
  struct stat status {};
  CHECK(::stat(path.c_str(), &status) != 0);
}

TEST_CASE("admin: beyond loopback every request needs the token; on loopback those that change something") {
  AdminSettings settings;
  settings.addresses = {*Endpoint::Parse("0.0.0.0:0"), kLoopback};
  settings.token = std::make_shared<const Secret>("open-sesame");
  const TestAdmin admin(settings);
  const Peer outside = Peer::To(Endpoint{kLoopback.ip, admin.at(0).port});
  const Answer refusal = Ask(outside, RequestFor("/"));
  CHECK(refusal.status == 401);
  CHECK(refusal.head.find("\r\nWWW-Authenticate: Bearer\r\n") != std::string::npos);
  CHECK(Ask(outside, RequestFor("/", kToken)).status == 200);
  const Peer inside = Peer::To(admin.at(1));
  CHECK(Ask(inside, RequestFor("/")).status == 200);
  const std::string post = "POST / HTTP/1.1\r\nHost: localhost\r\n";
  CHECK(Ask(inside, post + "\r\n").status == 401);
  CHECK(Ask(inside, post + std::string(kToken) + "\r\n").status == 200);
  CHECK(Ask(inside, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").status == 421);
}

TEST_CASE("admin: without a token, only the Unix socket takes changes") {
  const TempDirectory directory;
  AdminSettings settings;
  settings.addresses = {kLoopback};
  settings.sockets = {directory.PathOf("admin")};
  const TestAdmin admin(settings);
  const Answer refusal = Ask(admin.Client(), PostOf("abc"));
  CHECK(refusal.status == 403);
  CHECK(refusal.body.find("--admin-token-file") != std::string::npos);
  CHECK(Ask(admin.Client(), RequestFor("/")).status == 200);
  CHECK(Ask(ToSocket(settings.sockets[0]), PostOf("abc")).body == "abc\n");
}

TEST_CASE("admin: an address in use is an error") {
  const TestAdmin admin;
  AdminSettings settings;
  settings.addresses = {admin.at()};
  std::string error;
  CHECK(Admin::Start(settings, {}, &error) == nullptr);
  CHECK(error == "cannot listen on " + admin.at().ToString() + ": the address is in use by another program");
}

// Receives the head of a stream.
std::string ReceiveHead(const Peer& client) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) head += client.Receive(1);
  return head;
}

// Receives the next event and returns its number.
int ReceiveEvent(const Peer& client) {
  std::string event;
  while (!event.ends_with("\n\n")) event += client.Receive(1);
  REQUIRE(event.starts_with("data: "));
  return std::stoi(event.substr(6));
}

TEST_CASE("admin: a stream sends an event at once and one each second, made once for all who read") {
  const TestAdmin admin;
  CHECK(admin.events_made() == 0);
  std::vector<Peer> readers;
  const Stopwatch watch;
  for (int i = 0; i < 5; ++i) {
    readers.push_back(admin.Client());
    readers.back().Send(RequestFor("/events"));
    const std::string head = ReceiveHead(readers.back());
    CHECK(head.starts_with("HTTP/1.1 200 "));
    CHECK(head.find("\r\nContent-Type: text/event-stream\r\n") != std::string::npos);
    CHECK(head.find("Content-Length") == std::string::npos);
    CHECK(head.find("\r\nConnection: close\r\n") != std::string::npos);
  }
  for (const Peer& reader : readers) {
    int last = 0;
    for (int i = 0; i < 4; ++i) {
      const int number = ReceiveEvent(reader);
      CHECK(number > last);
      last = number;
    }
  }
  CHECK(watch.elapsed() >= 3 * kEventInterval);
  CHECK(admin.events_made() <= 1 + watch.elapsed() / kEventInterval);
}

TEST_CASE("admin: no event is made while nobody reads the stream") {
  const TestAdmin admin;
  const std::size_t before = Sockets();
  {
    const Peer reader = admin.Client();
    reader.Send(RequestFor("/events"));
    ReceiveHead(reader);
    CHECK(ReceiveEvent(reader) == 1);
  }
  CHECK(WaitUntil([&] { return Sockets() == before; }));
  const int made = admin.events_made();
  CHECK(admin.Client().Silent(2 * kEventInterval));
  CHECK(admin.events_made() == made);
}

TEST_CASE("admin: the end of its reader ends a stream, and what a reader sends is dropped") {
  const TestAdmin admin;
  const Peer reader = admin.Client();
  reader.Send(RequestFor("/events") + RequestFor("/"));
  ReceiveHead(reader);
  const int first = ReceiveEvent(reader);
  CHECK(ReceiveEvent(reader) > first);  // and no answer to the second request
  reader.Send(RequestFor("/"));
  reader.HalfClose();
  CHECK(reader.ReceiveToEnd().find("HTTP/1.1") == std::string::npos);
}

TEST_CASE("admin: HEAD of a stream has a head alone, and its connection goes on") {
  const TestAdmin admin;
  const Peer client = admin.Client();
  client.Send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(ReceiveHead(client).starts_with("HTTP/1.1 200 "));
  CHECK(Ask(client, RequestFor("/")).body == "hello\n");
  CHECK(admin.events_made() == 0);
}

TEST_CASE("admin: reader 17 of a stream gets 503 until another one leaves; requests are answered all the time") {
  const TestAdmin admin;
  std::vector<Peer> readers;
  for (std::size_t i = 0; i < kEventReadersMax; ++i) {
    readers.push_back(admin.Client());
    readers.back().Send(RequestFor("/events"));
    CHECK(ReceiveHead(readers.back()).starts_with("HTTP/1.1 200 "));
  }
  CHECK(Ask(admin.Client(), RequestFor("/events")).status == 503);
  CHECK(Ask(admin.Client(), RequestFor("/")).status == 200);
  readers.pop_back();
  CHECK(WaitUntil([&] {
    readers.push_back(admin.Client());
    readers.back().Send(RequestFor("/events"));
    return ReceiveHead(readers.back()).starts_with("HTTP/1.1 200 ");
  }));
}

TEST_CASE("admin: the reader of a stream that takes nothing is reset; others are served meanwhile") {
  AdminSettings settings = TestAdminSettings();
  settings.timeout = milliseconds(500);
  for (const std::size_t event_bytes : {std::size_t{64 * 1024}, kHuge}) {  // in the send buffer as a whole, or in part
    const TestAdmin admin(settings, event_bytes);
    const std::size_t before = Sockets();
    const Peer slow = admin.Client({4096, 0});
    slow.Send(RequestFor("/events"));
    CHECK(ReceiveHead(slow).starts_with("HTTP/1.1 200 "));
    CHECK(Ask(admin.Client(), RequestFor("/")).status == 200);
    CHECK(WaitUntil([&] { return Sockets() == before + 1; }));  // the reader's own end
    CHECK(slow.ReceiveToReset().size() < event_bytes);
    CHECK(admin.events_made() == 1);
  }
}

TEST_CASE("admin: a slow reader of a stream gets the newest event next, and not those that it has missed") {
  const TestAdmin admin(TestAdminSettings(), 64 * 1024);
  const Peer slow = admin.Client({4096, 0});
  slow.Send(RequestFor("/events"));
  ReceiveHead(slow);
  const Peer fast = admin.Client();
  fast.Send(RequestFor("/events"));
  ReceiveHead(fast);
  int last = 0;
  for (int i = 0; i < 4; ++i) last = ReceiveEvent(fast);
  CHECK(ReceiveEvent(slow) == 1);
  CHECK(ReceiveEvent(slow) >= last);
}

TEST_CASE("admin: the end of the interface ends its streams") {
  TestAdmin admin;
  const Peer reader = admin.Client();
  reader.Send(RequestFor("/events"));
  ReceiveHead(reader);
  ReceiveEvent(reader);
  admin.Stop();
  CHECK(reader.ReceiveToEnd().find("HTTP") == std::string::npos);
}

TEST_CASE("admin: the gateway is ready until it drains, and healthy all the time") {
  TestGateway gateway;
  const TargetListener listener;
  auto session = gateway.Open(listener);
  const AdminOf admin(gateway);
  CHECK(admin.Get("/readyz").status == 200);
  CHECK(admin.Get("/readyz").body == "ready\n");
  gateway.Drain();
  CHECK(admin.Get("/readyz").status == 503);
  CHECK(admin.Get("/readyz").body == "draining\n");
  CHECK(admin.Get("/healthz").body == "ok\n");
  gateway.Stop();
  CHECK(admin.Get("/readyz").body == "stopping\n");
  CHECK(admin.Get("/healthz").status == 200);
}

TEST_CASE("admin: a gateway whose workers have all paused accepting is not ready") {
  Settings settings = TestSettings();
  settings.connections_max = 1;
  const TestGateway gateway(settings);
  const AdminOf admin(gateway);
  const TargetListener listener;
  auto session = gateway.Open(listener);
  CHECK(admin.Get("/readyz").status == 200);
  Peer waiting = gateway.Client();
  CHECK(WaitUntil([&] { return admin.Get("/readyz").status == 503; }));
  CHECK(admin.Get("/readyz").body.starts_with("accepting is paused"));
  session.client.Close();
  session.target.Close();
  CHECK(WaitUntil([&] { return admin.Get("/readyz").status == 200; }));
}

bool Has(const Answer& answer, std::string_view line) {
  return ('\n' + answer.body).find('\n' + std::string(line) + '\n') != std::string::npos;
}

TEST_CASE("admin: /metrics shows a session from its beginning to its end") {
  TestGateway gateway;
  const TargetListener listener;
  const AdminOf admin(gateway);
  const std::string accepted = "penstock_connections_accepted_total{listener=\"" + gateway.at().ToString() + "\"} ";
  const Answer before = admin.Get("/metrics");
  CHECK(before.status == 200);
  CHECK(Has(before, accepted + '0'));
  CHECK(Has(before, "penstock_sessions{state=\"relay\"} 0"));
  CHECK(Has(before, "penstock_log_lines_lost_total 0"));
  CHECK(Has(before, "penstock_sessions_limit " + std::to_string(gateway.server().settings().connections_max)));
  CHECK(Has(before, "penstock_build_info{version=\"" + std::string(kProgramVersion) + "\"} 1"));
  PingPong(gateway.Open(listener), 1);
  CHECK(gateway.WaitForSessions(0));
  auto session = gateway.Open(listener);
  const Answer during = admin.Get("/metrics");
  CHECK(Has(during, accepted + '2'));
  CHECK(Has(during, "penstock_sessions{state=\"relay\"} 1"));
  CHECK(Has(during, "penstock_sessions_ended_total{reason=\"closed\"} 1"));
  gateway.Stop();  // the workers end, and their numbers stay
  CHECK(WaitUntil([&] { return Has(admin.Get("/metrics"), "penstock_sessions{state=\"relay\"} 0"); }));
  CHECK(Has(admin.Get("/metrics"), accepted + '2'));
  CHECK(Has(admin.Get("/metrics"), "penstock_workers_missing 0"));
}

TEST_CASE("admin: /metrics is OpenMetrics for those who name it, and the text format for all others") {
  const TestGateway gateway;
  const AdminOf admin(gateway);
  const auto type = [&](std::string_view fields) {
    const Answer answer = admin.Get("/metrics", fields);
    const bool openmetrics = answer.head.find(
                                 "\r\nContent-Type: application/openmetrics-text; version=1.0.0; "
                                 "charset=utf-8\r\n") != std::string::npos;
    CHECK((answer.head.find("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != std::string::npos) ==
          !openmetrics);
    CHECK(answer.body.ends_with("# EOF\n") == openmetrics);
    return openmetrics;
  };
  for (const std::string_view plain :
       {"", "Accept: */*\r\n", "Accept: text/plain\r\n", "Accept: application/*\r\n", "Accept: ,\r\n", "Accept:\r\n",
        "Accept: application/openmetrics-textual\r\n", "Accept: text/plain;x=application/openmetrics-text\r\n",
        "X-Accept: application/openmetrics-text\r\n"}) {
    CAPTURE(plain);
    CHECK_FALSE(type(plain));
  }
  for (const std::string_view named :
       {"Accept: application/openmetrics-text\r\n", "accept: Application/OpenMetrics-Text ; version=1.0.0\r\n",
        "Accept: application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n",
        "Accept: text/plain\r\nAccept: application/openmetrics-text\r\n",
        "Accept: ,,application/openmetrics-text,\r\n"}) {
    CAPTURE(named);
    CHECK(type(named));
  }
}

TEST_CASE("admin: HEAD of /metrics has the head and no body") {
  const TestGateway gateway;
  const AdminOf admin(gateway);
  const Peer client = admin.Client();
  client.Send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Answer answer = ReceiveAnswer(client, true);
  CHECK(answer.status == 200);
  CHECK(answer.head.find("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n") != std::string::npos);
  CHECK(Ask(client, RequestFor("/healthz")).body == "ok\n");
}

TEST_SUITE_END();

}  // namespace
}  // namespace penstock::test

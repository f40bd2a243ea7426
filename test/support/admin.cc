#include "test/support/admin.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <stdexcept>
#include <utility>

#include <doctest/doctest.h>

#include "penstock/admin/routes.h"

namespace penstock::test {

AdminSettings TestAdminSettings() {
  AdminSettings settings;
  settings.addresses = {kLoopback};
  settings.token = std::make_shared<const Secret>("open-sesame");
  return settings;
}

std::string RequestFor(std::string_view target, std::string_view fields, std::string_view method) {
  return std::string(method) + ' ' + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) +
         "\r\n";
}

Answer ReceiveAnswer(const Peer& client, bool head_only) {
  Answer answer;
  while (!answer.head.ends_with("\r\n\r\n")) answer.head += client.Receive(1);
  answer.status = std::stoi(answer.head.substr(9, 3));
  const std::size_t length = answer.head.find("Content-Length: ");
  REQUIRE(length != std::string::npos);
  if (!head_only) answer.body = client.Receive(std::stoul(answer.head.substr(length + 16)));
  return answer;
}

Answer Ask(const Peer& client, std::string_view request) {
  client.Send(request);
  return ReceiveAnswer(client);
}

Peer ToSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path.c_str());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return Peer(std::move(socket));
}

AdminOf::AdminOf(const TestGateway& gateway) {
  std::string error;
  admin_ = Admin::Start(TestAdminSettings(), RoutesOf(gateway.server(), gateway.log(), operations_), &error);
  if (admin_ == nullptr) throw std::runtime_error(error);
}

}  // namespace penstock::test

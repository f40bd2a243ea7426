// Clients of an admin interface, and the interface of a test's gateway.
// Owned by a test; its own thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/admin/admin.h"
#include "penstock/admin/control_routes.h"
#include "penstock/policy/settings.h"
#include "test/support/gateway.h"
#include "test/support/peer.h"

namespace penstock::test {

// The field with the token of TestAdminSettings.
inline constexpr std::string_view kToken = "Authorization: Bearer open-sesame\r\n";

// One address of loopback, on a free port, with a token.
AdminSettings TestAdminSettings();

// A request with the fields `fields`, each with its CRLF.
std::string RequestFor(std::string_view target, std::string_view fields = "", std::string_view method = "GET");

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
};

// Receives one answer, and nothing behind it.
Answer ReceiveAnswer(const Peer& client, bool head_only = false);

Answer Ask(const Peer& client, std::string_view request);

// A client of the Unix socket at `path`.
Peer ToSocket(const std::string& path);

// A program around the gateway: its reloads have the outcome that the test sets, and its options are its values.
struct TestOperations : Operations {
  std::optional<std::string> Reload() override { return outcome; }
  std::vector<OptionValue> Options() override { return options; }

  std::optional<std::string> outcome = "";
  std::vector<OptionValue> options;
};

// The admin interface of `gateway`, with its routes.
class AdminOf {
 public:
  explicit AdminOf(const TestGateway& gateway);

  Peer Client() const { return Peer::To(admin_->listening()[0]); }
  Answer Get(std::string_view target, std::string_view fields = "") const {
    return Ask(Client(), RequestFor(target, fields));
  }

  TestOperations& operations() { return operations_; }

  // A request that changes something, with the token.
  Answer Change(std::string_view method, std::string_view target) const {
    return Ask(Client(), RequestFor(target, kToken, method));
  }

 private:
  TestOperations operations_;
  std::unique_ptr<Admin> admin_;
};

}  // namespace penstock::test

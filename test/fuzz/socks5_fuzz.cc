// Bytes of a client, decoded as a greeting, as credentials and as a request: what is decoded lies within the bytes and
// does not depend on how the stream is split or joined.

#include "penstock/base/socks5.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "penstock/base/limits.h"

namespace {

using penstock::socks5::Decoded;

void Require(bool condition) {
  if (!condition) std::abort();
}

// Decodes every prefix of `bytes`. Once the result is not "incomplete" it stays the same, since the bytes behind a
// message are no part of it.
template <class Decode>
void DecodeEveryPrefix(std::span<const std::uint8_t> bytes, std::size_t size_max, Decode decode) {
  const auto all = decode(bytes);
  Require((all.decoded == Decoded::kComplete) <= (all.size > 0 && all.size <= bytes.size() && all.size <= size_max));
  Require(all.decoded != Decoded::kIncomplete || (all.size == 0 && bytes.size() < size_max));
  bool decided = false;
  for (std::size_t split = 0; split <= bytes.size() && split <= size_max; ++split) {
    // A copy, so that a sanitizer sees a read beyond it.
    const std::vector<std::uint8_t> prefix(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(split));
    const auto part = decode(prefix);
    Require(!decided || part.decoded != Decoded::kIncomplete);
    decided = part.decoded != Decoded::kIncomplete;
    Require(!decided || (part.decoded == all.decoded && part.size == all.size));
  }
}

void TakeRequest(std::span<const std::uint8_t> bytes) {
  using penstock::socks5::RequestFault;
  const auto request = penstock::socks5::DecodeRequest(bytes);
  Require((request.fault != RequestFault::kNone) == (request.decoded == Decoded::kMalformed));
  if (request.decoded != Decoded::kComplete) return;
  if (!request.name.empty()) {
    const auto* const name = reinterpret_cast<const std::uint8_t*>(request.name.data());
    Require(name >= bytes.data() && name + request.name.size() + 2 == bytes.data() + request.size);
    static_cast<void>(penstock::IsHostName(request.name));
    static_cast<void>(penstock::AddressInName(request.name));
    return;
  }
  // A reply that is encoded with the address decodes to the same address.
  std::array<std::uint8_t, penstock::socks5::kReplyBytesMax> room;
  const auto reply =
      penstock::socks5::EncodeReply(penstock::Outcome::kSucceeded, {request.address, request.port}, room);
  Require(reply.size() == 10 || reply.size() == 22);
  std::vector<std::uint8_t> echoed(reply.begin(), reply.end());
  echoed[1] = 1;  // REP becomes CMD
  const auto again = penstock::socks5::DecodeRequest(echoed);
  Require(again.decoded == Decoded::kComplete && again.address == request.address && again.port == request.port);
}

void TakeCredentials(std::span<const std::uint8_t> bytes) {
  const auto credentials = penstock::socks5::DecodeCredentials(bytes);
  Require(credentials.decoded != Decoded::kNotSocks5);
  if (credentials.decoded != Decoded::kComplete) return;
  const std::string_view password = credentials.password.Reveal();
  const auto* const name = reinterpret_cast<const std::uint8_t*>(credentials.name.data());
  Require(!credentials.name.empty() && name == bytes.data() + 2);
  Require(3 + credentials.name.size() + password.size() == credentials.size);
  Require(password.empty() ||
          password.data() + password.size() == reinterpret_cast<const char*>(bytes.data()) + credentials.size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(data, size);
  DecodeEveryPrefix(bytes, penstock::kGreetingBytesMax, penstock::socks5::DecodeGreeting);
  DecodeEveryPrefix(bytes, penstock::kRequestBytesMax, penstock::socks5::DecodeRequest);
  DecodeEveryPrefix(bytes, penstock::kCredentialsBytesMax, penstock::socks5::DecodeCredentials);
  TakeRequest(bytes);
  TakeCredentials(bytes);
  const auto greeting = penstock::socks5::DecodeGreeting(bytes);
  if (greeting.decoded != Decoded::kComplete) return 0;
  const auto rest = bytes.subspan(greeting.size);
  TakeRequest(rest);
  TakeCredentials(rest);
  const auto credentials = penstock::socks5::DecodeCredentials(rest);
  if (credentials.decoded == Decoded::kComplete) TakeRequest(rest.subspan(credentials.size));
  return 0;
}

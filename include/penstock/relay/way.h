// The two ways through a relay or an association, and a pair of values, one for each way.
// Plain values, owned by their holder; any thread.
// Invariant: a pair holds exactly one value for each way.
// Does not: know what moves each way (relay.h, associate.h) or how much of it may (throttle.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "penstock/base/limits.h"

namespace penstock {

enum class Way : std::uint8_t {
  kUp,    // client to target
  kDown,  // target to client
};
inline constexpr std::array kWays{Way::kUp, Way::kDown};

template <class T>
struct EachWay {
  T up{};
  T down{};

  constexpr T& of(Way way) { return way == Way::kUp ? up : down; }
  constexpr const T& of(Way way) const { return way == Way::kUp ? up : down; }

  bool operator==(const EachWay&) const = default;
};

// The maximum of bytes that a turn may take each way; kNoLimit: any number.
using Allowance = EachWay<std::size_t>;
inline constexpr Allowance kAnyAllowance{kNoLimit, kNoLimit};

}  // namespace penstock

// The two ways through a relay or an association, and a pair of values with one for each.
// Plain values, owned by whoever holds them; any thread.
// Invariant: a pair holds one value for every way, and no other.
// Deliberately not here: what moves each way (relay.h, associate.h) and how much of it may (throttle.h).
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
};

// How many bytes a turn may take from either side: 0 is none, kNoLimit any number.
using Allowance = EachWay<std::size_t>;
inline constexpr Allowance kAnyAllowance{kNoLimit, kNoLimit};

}  // namespace penstock

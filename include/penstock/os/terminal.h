// The terminal that standard output is.
// Stateless; any thread.
// Invariant: nothing is changed.
// Does not: open the terminal, write to it.
#pragma once

#include <cstddef>

namespace penstock {

// The columns of the terminal that standard output is; 0 if it is none.
std::size_t OutputColumns();

}  // namespace penstock

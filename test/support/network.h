// A network namespace for a test, with routes that the host does not have.
#pragma once

#include <functional>
#include <string>

namespace penstock::test {

// Forks a child, gives it a network namespace with an interface of 10.1.0.1/24, and runs `commands` and `body` in it.
// Returns the result of `body`, 100 if the network cannot be set up, or -1 if the child did not exit. Only for root.
int InNetwork(const std::string& commands, const std::function<int()>& body);

}  // namespace penstock::test

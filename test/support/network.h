// A network namespace of a test's own, with routes that the host does not have.
#pragma once

#include <functional>
#include <string>

namespace penstock::test {

// The exit status of a child that runs `body` in a network of its own with an interface of 10.1.0.1/24, after
// `commands`; -1 when it did not exit. Only for root.
int InNetwork(const std::string& commands, const std::function<int()>& body);

}  // namespace penstock::test

// The test program: doctest's main, and a watchdog that ends the program if a test hangs.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <iostream>

#include <doctest/doctest.h>

#include "penstock/os/sandbox.h"
#include "test/support/process.h"

namespace {

// Far longer than a test takes on a busy machine. With a sanitizer a test takes several times as long.
unsigned SecondsPerTest() { return penstock::test::IsSanitized() ? 240 : 120; }

// The message about the running test in case it hangs, formatted before it starts.
char g_message[512];
std::size_t g_message_size = 0;

// Async-signal-safe (signal-safety(7)). It does not call abort(): doctest would report that with code that allocates,
// and the test may hang while it holds the allocator's lock.
extern "C" void OnAlarm(int /*signal*/) {
  if (::write(STDERR_FILENO, g_message, g_message_size) < 0) ::_exit(4);
  ::_exit(3);
}

class Watchdog : public doctest::IReporter {
 public:
  explicit Watchdog(const doctest::ContextOptions& /*options*/) {
    // All gateways of the tests have workers as confined as in the program. Sanitizers need more than these may do.
    if (!penstock::test::IsSanitized()) penstock::ConfineNewThreads(penstock::SandboxMode::kOn);
    std::cout << std::unitbuf;  // the output before a test that hangs is not lost
  }

  void test_case_start(const doctest::TestCaseData& test) override {
    const unsigned seconds = SecondsPerTest();
    std::snprintf(g_message, sizeof g_message - 1, "%s:%u: hangs, and was ended after %u s: %s", test.m_file.c_str(),
                  test.m_line, seconds, test.m_name);
    g_message_size = std::strlen(g_message);
    g_message[g_message_size++] = '\n';
    ::signal(SIGALRM, OnAlarm);
    ::alarm(seconds);
  }
  void test_case_end(const doctest::CurrentTestCaseStats& /*stats*/) override { ::alarm(0); }

  void report_query(const doctest::QueryData& /*data*/) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& /*stats*/) override {}
  void test_case_reenter(const doctest::TestCaseData& /*test*/) override {}
  void test_case_exception(const doctest::TestCaseException& /*exception*/) override {}
  void subcase_start(const doctest::SubcaseSignature& /*subcase*/) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& /*assertion*/) override {}
  void log_message(const doctest::MessageData& /*message*/) override {}
  void test_case_skipped(const doctest::TestCaseData& /*test*/) override {}
};

REGISTER_LISTENER("watchdog", 1, Watchdog);

}  // namespace

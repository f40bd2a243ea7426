// The test program: doctest's main, and a watchdog that ends a test which hangs.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <signal.h>
#include <unistd.h>

#include <cstring>

#include <doctest/doctest.h>

namespace {

// Far above what a test takes, with a sanitizer and on a busy machine too.
constexpr unsigned kSecondsPerTest = 120;

char g_running[256];

extern "C" void OnAlarm(int /*signal*/) {
  const auto say = [](const char* text) { return ::write(STDERR_FILENO, text, std::strlen(text)); };
  if (say("hangs: ") < 0 || say(g_running) < 0 || say("\n") < 0) ::_exit(3);
  ::abort();
}

class Watchdog : public doctest::IReporter {
 public:
  explicit Watchdog(const doctest::ContextOptions& /*options*/) {}

  void test_case_start(const doctest::TestCaseData& test) override {
    std::strncpy(g_running, test.m_name, sizeof g_running - 1);
    ::signal(SIGALRM, OnAlarm);
    ::alarm(kSecondsPerTest);
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

// What penstock ctl reads from a gateway: an answer is complete or wrong for all its bytes and none before, and a value
// that is accepted can be shown without a control character.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "penstock/ctl/answer.h"
#include "penstock/ctl/json_value.h"
#include "penstock/ctl/report.h"
#include "penstock/ctl/screen.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequirePrintable(std::string_view text) {
  Require(std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
}

void CheckReports(const penstock::JsonValue& value) {
  using namespace penstock;
  constexpr std::chrono::seconds kNow{1'000};
  RequirePrintable(StatusReport(value, kNow));
  RequirePrintable(SessionsReport(value, 80));
  RequirePrintable(RecentReport(value, kNow, 80));
  RequirePrintable(UsersReport(value, kNow, 0));
  RequirePrintable(TargetsReport(value, 80));
  Screen screen;
  screen.SetInfo(value, TimePoint(kNow));
  screen.SetWorkers(value, TimePoint(kNow));
  screen.SetSessions(value);
  screen.Move(1);
  Require(!screen.Frame({80, 24}).empty());
}

}  // namespace

// The first byte chooses where the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view all(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (const auto value = penstock::JsonValue::Parse(all)) CheckReports(*value);

  using Status = penstock::AnswerStatus;
  penstock::Answer answer;
  const Status whole = penstock::ParseAnswer(all, &answer);
  const std::string part(all.substr(0, all.size() * data[0] / 256));
  penstock::Answer of_part;
  const Status early = penstock::ParseAnswer(part, &of_part);
  if (early == Status::kBad) Require(whole == Status::kBad);
  if (early == Status::kComplete) Require(whole == Status::kBad || part.size() == all.size());
  if (whole != Status::kComplete) return 0;
  Require(all.ends_with(answer.body) && answer.status >= 200 && answer.status < 600);
  if (const auto value = penstock::JsonValue::Parse(answer.body)) CheckReports(*value);
  return 0;
}

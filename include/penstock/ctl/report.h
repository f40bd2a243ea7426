// The answers of the admin interface as text for humans: reports and tables.
// Functions without state; any thread.
// Invariant: what a gateway or a client has written is printable (table.h) in a report. A member that is missing or
// null is "-".
// Does not: ask the gateway (client.h), choose the report (ctl.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "penstock/ctl/answer.h"
#include "penstock/ctl/json_value.h"

namespace penstock {

// `now`: since 1970. `width`: of the terminal; 0: any.
std::string StatusReport(const JsonValue& info, std::chrono::milliseconds now);
std::string SessionsReport(const JsonValue& answer, std::size_t width);
std::string RecentReport(const JsonValue& answer, std::chrono::milliseconds now, std::size_t width);
std::string UsersReport(const JsonValue& answer, std::chrono::milliseconds now, std::size_t width);
std::string TargetsReport(const JsonValue& answer, std::size_t width);

// A line for the end of a list, if a worker did not answer in time, so that its rows are missing; else empty.
std::string_view Gap(const JsonValue& answer);

// Why the gateway has not done `command`, as foreign text: the "error" of the answer's body, or what its status means.
std::string RefusalOf(const Answer& answer, const std::optional<JsonValue>& body, std::string_view command);

// A string or number as text; "-" if it is null or empty.
std::string TextOf(const JsonValue& value);

// Bytes with a unit, or a duration; "-" if it is null.
std::string BytesOf(const JsonValue& value);
std::string TimeOf(const JsonValue& value);

}  // namespace penstock

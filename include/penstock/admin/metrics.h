// The text of /metrics: what the workers have counted and what the process uses, for Prometheus and its like.
// Stateless; any thread.
// Invariants: every series of counters.h is in it, each family once, with its help and its type before its samples. No
// label has a value that a client chooses: users are those who are configured, and at most kUserSeriesMax.
// Does not: ask the workers (server.h) or the system (os/usage.h), speak HTTP.
//
// Two formats: the text format 0.0.4 of Prometheus; and OpenMetrics 1.0.0, in which the name of a counter's family has
// no "_total" and the text ends with "# EOF".
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "penstock/base/endpoint.h"
#include "penstock/os/usage.h"
#include "penstock/policy/accounts.h"
#include "penstock/server/survey.h"

namespace penstock {

// What the totals do not say. The views must outlive the call.
struct ProcessFacts {
  std::string_view version;
  std::span<const Endpoint> listening;  // as Totals::accepted counts them
  std::size_t sessions_max = 0;
  std::size_t workers = 0;
  bool last_reload_succeeded = true;
  std::chrono::milliseconds last_reload_success{0};  // since 1970; the start counts as one
  std::uint64_t log_lines_lost = 0;
  ProcessUsage usage;
  std::vector<UserRow> users;  // that have series of their own
};

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr std::string_view kOpenMetricsContentType =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

// The whole text, some 20 kB, in OpenMetrics or in the format 0.0.4.
std::string MetricsText(const Totals& totals, const ProcessFacts& facts, bool openmetrics);

// The users of `rows` with the most traffic, at most `count`, by name.
std::vector<UserRow> Busiest(std::vector<UserRow> rows, std::size_t count);

// `value` as the value of a label: \ " and the end of a line are escaped by a backslash.
std::string LabelValue(std::string_view value);

}  // namespace penstock

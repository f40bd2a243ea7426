#include "penstock/admin/metrics.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <functional>

#include "penstock/base/counters.h"

namespace penstock {
namespace {

constexpr std::string_view kTotal = "_total";

// `value` times 10^-`places`, in decimal without needless zeros, but with one digit after the point: OpenMetrics
// requires it of the bounds of buckets.
std::string Decimal(std::uint64_t value, std::size_t places) {
  std::string digits = std::to_string(value);
  if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
  std::string fraction = digits.substr(digits.size() - places);
  digits.resize(digits.size() - places);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return digits + '.' + (fraction.empty() ? "0" : fraction);
}

// How many decimal places of a second a unit has.
template <class Unit>
constexpr std::size_t Places() {
  std::size_t places = 0;
  for (auto units = Unit::period::den / Unit::period::num; units > 1; units /= 10) ++places;
  return places;
}

std::string Seconds(std::chrono::microseconds duration) {
  return Decimal(static_cast<std::uint64_t>(duration.count()), Places<std::chrono::microseconds>());
}

class Writer {
 public:
  explicit Writer(bool openmetrics) : openmetrics_(openmetrics) {}

  void Counter(const SeriesName& name, std::string_view value) { Sample(name, "counter", value); }
  void Counter(const SeriesName& name, std::uint64_t value) { Counter(name, std::to_string(value)); }
  void Gauge(const SeriesName& name, std::string_view value) { Sample(name, "gauge", value); }
  void Gauge(const SeriesName& name, std::uint64_t value) { Gauge(name, std::to_string(value)); }

  // The same without the prefix of this program: every exporter has it.
  void Process(const SeriesName& name, std::string_view type, std::string_view value) {
    prefix_ = "";
    Sample(name, type, value);
    prefix_ = kPrefix;
  }

  // Buckets are cumulative, and the last one counts all.
  template <class Scale>
  void Durations(const SeriesName& name, const Histogram<Scale>& histogram) {
    constexpr std::size_t kPlaces = Places<typename Scale::Unit>();
    Head(name, "histogram");
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < Scale::kBounds.size(); ++i) {
      below += histogram.bucket(i);
      Line(name.name, "_bucket", "le=\"" + Decimal(Scale::kBounds[i], kPlaces) + '"', std::to_string(below));
    }
    const std::string all = std::to_string(histogram.observations());
    Line(name.name, "_bucket", "le=\"+Inf\"", all);
    Line(name.name, "_sum", "", Decimal(histogram.sum(), kPlaces));
    Line(name.name, "_count", "", all);
  }

  std::string Finish() {
    if (openmetrics_) text_ += "# EOF\n";
    return std::move(text_);
  }

 private:
  static constexpr std::string_view kPrefix = "penstock_";

  void Sample(const SeriesName& name, std::string_view type, std::string_view value) {
    if (family_ != name.name) Head(name, type);
    Line(name.name, "", name.labels, value);
  }

  // In OpenMetrics, the name of a counter's family is that of its samples without "_total".
  void Head(const SeriesName& name, std::string_view type) {
    family_ = name.name;
    std::string_view family = name.name;
    assert((type == "counter") == family.ends_with(kTotal));
    if (openmetrics_ && type == "counter") family.remove_suffix(kTotal.size());
    ((text_ += "# HELP ") += prefix_) += family;
    ((text_ += ' ') += name.help) += '\n';
    ((text_ += "# TYPE ") += prefix_) += family;
    ((text_ += ' ') += type) += '\n';
  }

  void Line(std::string_view name, std::string_view suffix, std::string_view labels, std::string_view value) {
    ((text_ += prefix_) += name) += suffix;
    if (!labels.empty()) ((text_ += '{') += labels) += '}';
    ((text_ += ' ') += value) += '\n';
  }

  const bool openmetrics_;
  std::string_view prefix_ = kPrefix;
  std::string_view family_;  // the last one
  std::string text_;
};

// connections_accepted_total has a label that is not known before the start: the listener.
void WriteAccepted(const SeriesName& name, const Totals& totals, const ProcessFacts& facts, Writer& writer) {
  assert(facts.listening.size() == totals.accepted.size());
  for (std::size_t i = 0; i < totals.accepted.size(); ++i) {
    const std::string labels = "listener=\"" + LabelValue(facts.listening[i].ToString()) + '"';
    writer.Counter(name.With(labels), totals.accepted[i]);
  }
}

void WriteFacts(const Totals& totals, const ProcessFacts& facts, Writer& writer) {
  const std::string version = "version=\"" + LabelValue(facts.version) + '"';
  writer.Gauge({"build_info", "The version of this program; always 1.", version}, 1);
  writer.Gauge({"sessions_limit", "Sessions that may be alive at a time."}, facts.sessions_max);
  writer.Gauge({"workers", "Threads that serve sessions."}, facts.workers);
  writer.Gauge({"workers_missing", "Workers that did not answer this scrape: their last numbers are used."},
               totals.workers_missing);
  writer.Gauge({"config_last_reload_successful", "Whether the last reload of the configuration succeeded."},
               facts.last_reload_succeeded ? 1 : 0);
  writer.Gauge({"config_last_reload_success_timestamp_seconds", "When the configuration was last loaded."},
               Seconds(facts.last_reload_success));
  writer.Counter({"log_lines_lost_total", "Lines that the log has lost."}, facts.log_lines_lost);
}

// A name may be any bytes. As in the log, all but printable ASCII become \\xNN, and the backslash, too, so that no two
// names become one.
std::string UserLabel(std::string_view user) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const char c : user) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte < 0x7f && c != '\\') {
      text += c;
    } else {
      ((text += "\\x") += kHex[byte >> 4]) += kHex[byte & 15];
    }
  }
  return "user=\"" + LabelValue(text) + '"';
}

void WriteUsers(std::span<const UserRow> users, Writer& writer) {
  constexpr SeriesName kTraffic{"user_traffic_bytes_total", "Bytes of data carried for a user, up and down."};
  constexpr SeriesName kSessions{"user_sessions_total", "Sessions that a user has begun."};
  for (const UserRow& row : users) {
    const std::string user = UserLabel(row.kept.user);
    writer.Counter(kTraffic.With(user + R"(,direction="up")"), row.kept.usage.bytes.up);
    writer.Counter(kTraffic.With(user + R"(,direction="down")"), row.kept.usage.bytes.down);
  }
  for (const UserRow& row : users) writer.Counter(kSessions.With(UserLabel(row.kept.user)), row.kept.sessions);
}

// As the client libraries of Prometheus have them.
void WriteUsage(const ProcessUsage& usage, Writer& writer) {
  const auto gauge = [&](std::string_view name, std::string_view help, const auto& value) {
    if (value) writer.Process({name, help}, "gauge", std::to_string(*value));
  };
  if (usage.cpu) {
    writer.Process({"process_cpu_seconds_total", "Total user and system CPU time spent in seconds."}, "counter",
                   Seconds(*usage.cpu));
  }
  gauge("process_resident_memory_bytes", "Resident memory size in bytes.", usage.resident_bytes);
  gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", usage.virtual_bytes);
  gauge("process_open_fds", "Number of open file descriptors.", usage.descriptors);
  gauge("process_max_fds", "Maximum number of open file descriptors.", usage.descriptors_max);
  if (usage.started_at) {
    writer.Process({"process_start_time_seconds", "Start time of the process since unix epoch in seconds."}, "gauge",
                   Seconds(*usage.started_at));
  }
}

}  // namespace

std::vector<UserRow> Busiest(std::vector<UserRow> rows, std::size_t count) {
  if (rows.size() <= count) return rows;
  const auto traffic = [](const UserRow& row) { return row.kept.usage.bytes.up + row.kept.usage.bytes.down; };
  const auto last = rows.begin() + static_cast<std::ptrdiff_t>(count);
  std::ranges::nth_element(rows, last, std::ranges::greater(), traffic);
  rows.erase(last, rows.end());
  std::ranges::sort(rows, {}, [](const UserRow& row) -> const std::string& { return row.kept.user; });
  return rows;
}

std::string LabelValue(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    escaped += c == '\n' ? "\\n" : std::string(1, c);
  }
  return escaped;
}

std::string MetricsText(const Totals& totals, const ProcessFacts& facts, bool openmetrics) {
  Writer writer(openmetrics);
  WriteFacts(totals, facts, writer);
  ForEach(totals.counters, [&](const SeriesName& name, const Counter& counter) {
    if (&counter == &totals.counters.accepted) return WriteAccepted(name, totals, facts, writer);
    writer.Counter(name, counter.value());
  });
  ForEach(totals.gauges, [&](const SeriesName& name, const Gauge& gauge) { writer.Gauge(name, gauge.value()); });
  ForEach(totals.counters.durations,
          [&](const SeriesName& name, const auto& histogram) { writer.Durations(name, histogram); });
  WriteUsers(facts.users, writer);
  WriteUsage(facts.usage, writer);
  return writer.Finish();
}

}  // namespace penstock

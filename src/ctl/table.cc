#include "penstock/ctl/table.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace penstock {
namespace {

constexpr double kLargest = 1e18;  // so that it can be converted to an integer

constexpr std::size_t kGap = 2;        // between two columns
constexpr std::size_t kNarrowest = 8;  // of a column that shrinks

// Three digits, and a point if there is room for it: "1.50", "15.0", "150".
std::string ThreeDigits(double number) {
  const int decimals = number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
  const double scale = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;
  const auto scaled = Rounded(number * scale);
  const auto unit = static_cast<std::uint64_t>(scale);
  std::string text = std::to_string(scaled / unit);
  if (decimals == 0) return text;
  const std::string fraction = std::to_string(scaled % unit);
  return text + '.' + std::string(static_cast<std::size_t>(decimals) - fraction.size(), '0') + fraction;
}

template <std::size_t N>
std::string WithUnit(double number, double base, const std::array<std::string_view, N>& units) {
  std::size_t unit = 0;
  number = std::clamp(number, 0.0, kLargest);
  // What would be rounded to 1000 or 1024 gets the next unit.
  while (unit + 1 < N && number >= base - 0.5) {
    number /= base;
    ++unit;
  }
  const std::string digits = unit == 0 ? std::to_string(Rounded(number)) : ThreeDigits(number);
  return digits + ' ' + std::string(units[unit]);
}

std::string TwoDigits(std::uint64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); }

}  // namespace

std::string Printable(std::string_view foreign) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const char c : foreign) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      text += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text;
}

std::uint64_t Rounded(double number) {
  number = std::clamp(number, 0.0, kLargest);
  const auto below = static_cast<std::uint64_t>(number);
  return number - static_cast<double>(below) < 0.5 ? below : below + 1;
}

std::string HumanBytes(double bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return WithUnit(bytes, 1024, kUnits);
}

std::string HumanBits(double per_second) {
  constexpr std::array<std::string_view, 5> kUnits = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
  return WithUnit(per_second, 1000, kUnits);
}

std::string HumanTime(double seconds) {
  seconds = std::clamp(seconds, 0.0, kLargest);
  if (seconds < 9.95) {
    const auto tenths = Rounded(seconds * 10);
    return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + 's';
  }
  const auto whole = static_cast<std::uint64_t>(seconds);
  if (whole < 60) return std::to_string(whole) + 's';
  if (whole < 3600) return std::to_string(whole / 60) + 'm' + TwoDigits(whole % 60) + 's';
  if (whole < 86400) return std::to_string(whole / 3600) + 'h' + TwoDigits(whole / 60 % 60) + 'm';
  return std::to_string(whole / 86400) + 'd' + TwoDigits(whole / 3600 % 24) + 'h';
}

std::string Percent(double part, double whole) {
  if (whole <= 0) return "-";
  return std::to_string(Rounded(part * 100 / whole)) + '%';
}

std::string Cut(std::string_view text, std::size_t columns) {
  if (text.size() <= columns) return std::string(text);
  return columns == 0 ? "" : std::string(text.substr(0, columns - 1)) + '~';
}

void Table::Add(const std::vector<std::string>& cells) {
  assert(cells.size() == columns_.size());
  std::vector<std::string>& row = rows_.emplace_back();
  for (const std::string& cell : cells) row.push_back(Printable(cell));
}

std::vector<std::string> Table::Lines(std::size_t width) const {
  const std::vector<std::size_t> widths = Widths(width);
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.emplace_back(column.title);
  std::vector<std::string> lines{Line(titles, widths)};
  for (const auto& row : rows_) lines.push_back(Line(row, widths));
  if (width > 0) {
    for (std::string& line : lines) line = Cut(line, width);
  }
  return lines;
}

std::string Table::ToString(std::size_t width) const {
  std::string text;
  for (const std::string& line : Lines(width)) text.append(line).push_back('\n');
  return text;
}

std::vector<std::size_t> Table::Widths(std::size_t width) const {
  std::vector<std::size_t> widths;
  std::size_t total = kGap * (columns_.size() - 1);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = columns_[i].title.size();
    for (const auto& row : rows_) widest = std::max(widest, row[i].size());
    widths.push_back(widest);
    total += widest;
  }
  for (; width > 0 && total > width; --total) {
    std::size_t* widest = nullptr;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].shrinks && (widest == nullptr || widths[i] > *widest)) widest = &widths[i];
    }
    if (widest == nullptr || *widest <= kNarrowest) break;
    --*widest;
  }
  return widths;
}

std::string Table::Line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string cell = columns_[i].shrinks ? Cut(cells[i], widths[i]) : cells[i];
    const std::string filling(widths[i] - cell.size(), ' ');
    if (i > 0) line.append(kGap, ' ');
    line += columns_[i].align == Align::kRight ? filling + cell : cell + filling;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace penstock

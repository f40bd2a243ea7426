// What a human reads: foreign text without control characters, numbers with units, and tables that fit a terminal.
// Values, and functions without state; any thread.
// Invariant: all text is printable ASCII, so a byte is a column, and nothing that a client sends moves the cursor.
// Does not: write to a terminal (os/terminal.h), know what the columns mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock {

// `foreign` with every byte but printable ASCII as \xNN, as in the log.
std::string Printable(std::string_view foreign);

std::uint64_t Rounded(double number);      // the nearest whole number, from 0 to 10^18
std::string HumanBytes(double bytes);      // "512 B", "1.5 KiB", "123 MiB"
std::string HumanBits(double per_second);  // "950 bit/s", "1.25 Gbit/s": powers of 1000
std::string HumanTime(double seconds);     // "0.2s", "42s", "4m05s", "2h13m", "3d04h"
std::string Percent(double part, double whole);

// `text` in at most `columns`; "~" stands for what is cut off.
std::string Cut(std::string_view text, std::size_t columns);

class Table {
 public:
  enum class Align : unsigned char { kLeft, kRight };
  struct Column {
    std::string_view title;  // a literal
    Align align = Align::kLeft;
    bool shrinks = false;  // its text may be cut
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // A row, with a cell for each column. Cells are foreign text.
  void Add(const std::vector<std::string>& cells);

  std::size_t rows() const { return rows_.size(); }

  // The title and the rows as lines, without ends and without blanks behind the last cell. If `width` is not 0, a line
  // has at most as many columns: the widest columns that may shrink do, down to a minimum, then lines are cut.
  std::vector<std::string> Lines(std::size_t width) const;

  // Lines with their ends.
  std::string ToString(std::size_t width) const;

 private:
  std::vector<std::size_t> Widths(std::size_t width) const;
  std::string Line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace penstock

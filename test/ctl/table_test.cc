#include "penstock/ctl/table.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace penstock {
namespace {

TEST_CASE("table: foreign text is printable ASCII, as in the log") {
  CHECK(Printable("plain text") == "plain text");
  CHECK(Printable("\x1b[2J\r\n\t\x7f") == "\\x1b[2J\\x0d\\x0a\\x09\\x7f");
  CHECK(Printable("back\\slash") == "back\\x5cslash");
  CHECK(Printable("\xc3\xbc\xc2\x9b") == "\\xc3\\xbc\\xc2\\x9b");
  CHECK(Printable(std::string(1, '\0')) == "\\x00");
}

TEST_CASE("table: numbers are rounded to the nearest") {
  CHECK(Rounded(0.49999999999999994) == 0);  // plus 0.5, that is 1
  CHECK(Rounded(0.5) == 1);
  CHECK(Rounded(-7) == 0);
  CHECK(Rounded(1e300) == 1'000'000'000'000'000'000);
}

TEST_CASE("table: numbers have three digits and a unit") {
  CHECK(HumanBytes(0) == "0 B");
  CHECK(HumanBytes(1023) == "1023 B");
  CHECK(HumanBytes(1024) == "1.00 KiB");
  CHECK(HumanBytes(1536) == "1.50 KiB");
  CHECK(HumanBytes(10 * 1024) == "10.0 KiB");
  CHECK(HumanBytes(123.4 * 1024 * 1024) == "123 MiB");
  CHECK(HumanBytes(1023.6 * 1024) == "1.00 MiB");
  CHECK(HumanBytes(5e15) == "4.44 PiB");
  CHECK(HumanBytes(-1) == "0 B");
  CHECK(HumanBits(999) == "999 bit/s");
  CHECK(HumanBits(999.7) == "1.00 kbit/s");
  CHECK(HumanBits(1.25e9) == "1.25 Gbit/s");
}

TEST_CASE("table: times have two units") {
  CHECK(HumanTime(0) == "0.0s");
  CHECK(HumanTime(-3) == "0.0s");
  CHECK(HumanTime(9.94) == "9.9s");
  CHECK(HumanTime(9.96) == "9s");
  CHECK(HumanTime(59.9) == "59s");
  CHECK(HumanTime(245) == "4m05s");
  CHECK(HumanTime(7980) == "2h13m");
  CHECK(HumanTime(273600) == "3d04h");
  CHECK(Percent(1, 3) == "33%");
  CHECK(Percent(1, 0) == "-");
}

TEST_CASE("table: columns are aligned, and lines have no blanks at their end") {
  Table table({{"NAME"}, {"BYTES", Table::Align::kRight}, {"END"}});
  table.Add({"a", "12", ""});
  table.Add({"longer", "3", "x\n"});
  CHECK(table.ToString(0) ==
        "NAME    BYTES  END\n"
        "a          12\n"
        "longer      3  x\\x0a\n");
}

TEST_CASE("table: the widest columns shrink until the lines fit, and then lines are cut") {
  Table table({{"ID"}, {"ASKED", Table::Align::kLeft, true}, {"USER", Table::Align::kLeft, true}});
  table.Add({"0-1-2", std::string(30, 'n'), std::string(12, 'u')});
  CHECK(table.Lines(40)[1] == "0-1-2  " + std::string(18, 'n') + "~  " + std::string(12, 'u'));
  CHECK(table.Lines(25)[1] == "0-1-2  nnnnnnn~  uuuuuuu~");
  CHECK(table.Lines(10)[1] == "0-1-2  nn~");
  for (std::size_t width = 1; width < 60; ++width) {
    for (const std::string& line : table.Lines(width)) CHECK(line.size() <= width);
  }
}

}  // namespace
}  // namespace penstock

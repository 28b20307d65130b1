#include "report/numbers.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace fusesim::report;

TEST_CASE("numbers have three significant digits and the unit that suits them", "[report]") {
    CHECK(time_text(0) == "0 s");
    CHECK(time_text(67.808e-6) == "67.8 us");
    CHECK(time_text(1.2e-6) == "1.20 us");
    CHECK(time_text(123.4e-9) == "123 ns");
    CHECK(time_text(5e-12) == "5.00 ps");
    CHECK(time_text(1.5) == "1.50 s");
    CHECK(time_text(12'345) == "12345 s");
    CHECK(bytes_text(0) == "0 B");
    CHECK(bytes_text(100) == "100 B");
    CHECK(bytes_text(4096) == "4.00 KiB");
    CHECK(bytes_text(3 * 1048576.0) == "3.00 MiB");
    CHECK(bandwidth_text(0) == "0 B/s");
    CHECK(bandwidth_text(100 * 1048576.0) == "100 MiB/s (105 MB/s)");
    CHECK(rate_text(14'747) == "14.7 k");
    CHECK(rate_text(980) == "980");
    CHECK(rate_text(0) == "0");
    CHECK(count_text(9'999'999) == "9999999");
    CHECK(count_text(12'345'678) == "12.3 M");
    CHECK(percent_text(0.973) == "97.3 %");
    CHECK(percent_text(1.6) == "160 %");
    CHECK(error_text(0.034) == "+3.4 %");
    CHECK(error_text(-0.12) == "-12.0 %");
    CHECK(error_text(-0.0001) == "+0.0 %");
    CHECK(plain_text(0.123) == "0.123");
    CHECK(plain_text(0.0123) == "0.0123");
    CHECK(plain_text(1.2) == "1.20");
    CHECK(plain_text(4) == "4");
    CHECK(plain_text(-0.0) == "0");
}

TEST_CASE("a number that rounds up to the next unit is shown in it", "[report]") {
    CHECK(time_text(999.4e-6) == "999 us");
    CHECK(time_text(999.6e-6) == "1.00 ms");
    CHECK(time_text(9.996e-6) == "10.0 us");
    CHECK(time_text(99.96e-6) == "100 us");
    CHECK(bytes_text(1023.6) == "1.00 KiB");
    CHECK(rate_text(999'700) == "1.00 M");
}

TEST_CASE("parts that are printed add up to the whole that is printed", "[report]") {
    CHECK(parts_text(67.8e-6, {0, 12.34e-6, 40.06e-6, 15.4e-6}) ==
          std::vector<std::string>{"67.8 us", "0", "12.3", "40.1", "15.4"});
    // Rounded one by one these thirds would lose a unit of the last place.
    CHECK(parts_text(1e-6, {1e-6 / 3, 1e-6 / 3, 1e-6 / 3}) ==
          std::vector<std::string>{"1.00 us", "0.34", "0.33", "0.33"});
    CHECK(parts_text(0, {0, 0}) == std::vector<std::string>{"0 s", "0", "0"});
    CHECK(parts_text(123.4e-3, {100.4e-3, 23.0e-3}) ==
          std::vector<std::string>{"123 ms", "100", "23"});
}

TEST_CASE("a table fits its columns to the cells and stays within 80 characters", "[report]") {
    Table table({"name", "count"});
    CHECK(table.empty());
    table.add({"a", "10"});
    table.add({"longer", "9"});
    CHECK(table.text() ==
          "name    count\n"
          "a          10\n"
          "longer      9\n");
    Table wide({"name", "count"});
    wide.add({std::string(100, 'x'), "1"});
    CHECK(wide.text() == "name" + std::string(76 - 5, ' ') + "count\n" + std::string(72, 'x') +
                             "~" + std::string(6, ' ') + "1\n");
}

TEST_CASE("sentences are broken between words", "[report]") {
    const std::string text = wrapped(std::string(50, 'a') + " " + std::string(29, 'b') + " c");
    CHECK(text == std::string(50, 'a') + " " + std::string(29, 'b') + "\nc\n");
    CHECK(wrapped("") == "\n");
}

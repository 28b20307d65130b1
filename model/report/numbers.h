#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::report {

// Numbers as reports show them: three significant digits and the unit that suits them.

std::string time_text(double seconds);           // "67.8 us", "1.20 s", "0 s"
std::string bytes_text(double bytes);            // "4.00 KiB", "12.3 MiB"
std::string bandwidth_text(double bytes_per_s);  // "48.2 MiB/s (50.5 MB/s)"
std::string rate_text(double per_s);             // "14.7 k", "980"
std::string count_text(std::uint64_t count);     // whole up to seven digits, then "12.3 M"
std::string percent_text(double fraction);       // "97.3 %"
std::string error_text(double relative);         // "+3.4 %", "-12.0 %", "+0.0 %"
std::string plain_text(double number);  // "0.012", "1.20", "123"; whole numbers without decimals

/// Parts of a whole in the whole's unit and with its decimals, rounded so that what is printed adds
/// up to what is printed for the whole: {"67.8 us", "12.3", "55.5"}. The whole comes first.
std::vector<std::string> parts_text(double whole_s, const std::vector<double>& parts_s);

/// Rows of cells in columns of fitting width, two spaces apart; the first `left` columns are
/// aligned left, the others right. The first column is cut if a line would pass 80 characters.
class Table {
  public:
    explicit Table(std::vector<std::string> header, std::size_t left = 1)
        : left_(left), rows_{std::move(header)} {}

    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

    bool empty() const { return rows_.size() == 1; }

    std::string text() const;

  private:
    std::size_t left_;
    std::vector<std::vector<std::string>> rows_;
};

/// Words of a sentence in lines of at most 80 characters.
std::string wrapped(std::string_view sentence);

inline constexpr std::size_t columns = 80;

}  // namespace fusesim::report

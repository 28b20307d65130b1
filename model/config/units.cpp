#include "config/units.h"

#include "config/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <span>

namespace fusesim::config {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t\r\n\f\v";
    const std::size_t first = std::min(text.find_first_not_of(blank), text.size());
    text.remove_prefix(first);
    return text.substr(0, text.find_last_not_of(blank) + 1);
}

namespace {

__extension__ using Wide = unsigned __int128;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

struct Quantity {
    std::string_view number;
    std::string_view unit;
};

/// "1.5e3 us" -> "1.5e3" and "us". The number may be empty; an `e` without digits is unit.
Quantity split(std::string_view text) {
    text = trimmed(text);
    std::size_t end = 0;
    const auto digits = [&] {
        while (end < text.size() && is_digit(text[end])) {
            ++end;
        }
    };
    if (end < text.size() && (text[end] == '+' || text[end] == '-')) {
        ++end;
    }
    digits();
    if (end < text.size() && text[end] == '.') {
        ++end;
        digits();
    }
    if (end > 0 && end < text.size() && (text[end] == 'e' || text[end] == 'E')) {
        std::size_t after = end + 1;
        if (after < text.size() && (text[after] == '+' || text[after] == '-')) {
            ++after;
        }
        if (after < text.size() && is_digit(text[after])) {
            end = after;
            digits();
        }
    }
    return {text.substr(0, end), trimmed(text.substr(end))};
}

/// Locale-free; nothing for texts that are no finite number as a whole.
std::optional<double> to_double(std::string_view text) {
    if (text.starts_with('+')) {
        text.remove_prefix(1);
    }
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
        return std::nullopt;
    }
    return value;
}

/// digits * 10^exponent, exactly, for numbers of up to 25 significant digits.
struct Decimal {
    Wide digits = 0;
    int exponent = 0;
};

std::optional<Decimal> to_decimal(std::string_view text) {
    if (!to_double(text) || text.starts_with('-')) {
        return std::nullopt;
    }
    constexpr int most = 25;
    Decimal decimal;
    int significant = 0;
    bool fraction = false;
    std::size_t i = text.starts_with('+') ? 1 : 0;
    for (; i < text.size() && (is_digit(text[i]) || text[i] == '.'); ++i) {
        if (text[i] == '.') {
            fraction = true;
            continue;
        }
        if (significant < most) {
            decimal.digits = decimal.digits * 10 + static_cast<unsigned>(text[i] - '0');
            significant += decimal.digits == 0 ? 0 : 1;
            decimal.exponent -= fraction ? 1 : 0;
        } else {
            decimal.exponent += fraction ? 0 : 1;
        }
    }
    if (i < text.size()) {
        int exponent = 0;
        ++i;
        i += text[i] == '+' ? 1 : 0;
        std::from_chars(text.data() + i, text.data() + text.size(), exponent);
        decimal.exponent += exponent;
    }
    while (decimal.digits != 0 && decimal.digits % 10 == 0) {
        decimal.digits /= 10;
        ++decimal.exponent;
    }
    return decimal;
}

struct Scaled {
    std::uint64_t value = 0;
    bool exact = true;
    bool overflow = false;
};

/// decimal * unit, rounded to the nearest whole number.
Scaled scale(const Decimal& decimal, std::uint64_t unit) {
    if (decimal.digits == 0) {
        return {};
    }
    // 25 digits times a unit below 2^43 stay inside 128 bits; times h or s in ps is checked.
    constexpr Wide most = std::numeric_limits<std::uint64_t>::max();
    Wide value = decimal.digits;
    int exponent = decimal.exponent;
    while (unit % 10 == 0) {
        unit /= 10;
        ++exponent;
    }
    value *= unit;
    bool exact = true;
    if (exponent < 0) {
        Wide divisor = 1;
        for (; exponent < 0 && divisor <= value; ++exponent) {
            divisor *= 10;
        }
        if (exponent < 0) {
            return {0, false, false};
        }
        const Wide rest = value % divisor;
        exact = rest == 0;
        value = value / divisor + (rest * 2 >= divisor ? 1 : 0);
    }
    for (; exponent > 0 && value <= most; --exponent) {
        value *= 10;
    }
    if (value > most) {
        return {0, true, true};
    }
    return {static_cast<std::uint64_t>(value), exact, false};
}

struct Unit {
    std::string_view word;
    double factor;
};

/// Shortest number x with back(x) == value, so that reading gives it back.
template <class Back>
std::string shortest(double guess, double value, Back back) {
    for (int digits = 1; digits < 17; ++digits) {
        const std::string text = fmt::format("{:.{}g}", guess, digits);
        const auto x = to_double(text);
        if (x && back(*x) == value) {
            return fmt::format("{}", *x);
        }
    }
    return fmt::format("{}", guess);
}

/// The shortest of the ways to write `value`, the first of equals.
std::string shortest_unit(double value, std::span<const Unit> units) {
    std::string best;
    for (const Unit& unit : units) {
        const auto back = [&](double x) { return x * unit.factor; };
        const std::string number = shortest(value / unit.factor, value, back);
        const auto read = to_double(number);
        if (!read || back(*read) != value) {
            continue;
        }
        std::string text = number + " " + std::string(unit.word);
        if (best.empty() || text.size() < best.size()) {
            best = std::move(text);
        }
    }
    return best;  // one unit has the factor 1, which always gives the value back
}

[[noreturn]] void no_number(std::string_view what, const std::string& example) {
    throw Mismatch(fmt::format("is not a {}", what), "write for example " + example);
}

double number_of(const Quantity& quantity, std::string_view what, const std::string& example) {
    const auto number = to_double(quantity.number);
    if (!number) {
        no_number(what, example);
    }
    if (*number < 0) {
        throw Mismatch("is negative");
    }
    return *number;
}

double with_unit(std::string_view text,
                 std::string_view what,
                 std::span<const Unit> units,
                 const std::string& example) {
    const Quantity quantity = split(text);
    const double number = number_of(quantity, what, example);
    if (quantity.unit.empty()) {
        throw Mismatch("has no unit", "write for example " + example);
    }
    for (const Unit& unit : units) {
        if (unit.word == quantity.unit) {
            const double value = number * unit.factor;
            if (!std::isfinite(value)) {
                throw Mismatch("is too large");
            }
            return value;
        }
    }
    throw Mismatch(fmt::format("has the unknown unit '{}'", shown(quantity.unit)),
                   "write for example " + example);
}

template <class T>
T integer(std::string_view text) {
    text = trimmed(text);
    std::string_view digits = text;
    if (digits.starts_with('-')) {
        digits.remove_prefix(1);
    }
    const bool all_digits =
        !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
    if (!all_digits) {
        const bool decimal = to_double(text).has_value();
        throw Mismatch(decimal ? "is not a whole number" : "is not a number",
                       decimal ? "write its digits only" : "");
    }
    if (digits.size() > 1 && digits.front() == '0') {
        throw Mismatch("starts with 0", "octal numbers are not read; leave the 0 out");
    }
    T value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc::result_out_of_range) {
        throw Mismatch("is too large for a number here");
    }
    if (error != std::errc() || end != text.data() + text.size()) {
        throw Mismatch("is negative");
    }
    return value;
}

/// A hundredth of the number that `text` stands for, rounded once.
double percent(std::string_view text, double number) {
    const std::size_t e = text.find_first_of("eE");
    int exponent = 0;
    if (e != std::string_view::npos) {
        const std::size_t first = e + (text[e + 1] == '+' ? 2 : 1);
        std::from_chars(text.data() + first, text.data() + text.size(), exponent);
    }
    const std::string hundredth = fmt::format("{}e{}", text.substr(0, e), exponent - 2);
    return to_double(hundredth).value_or(number / 100);
}

struct TimeUnit {
    std::string_view word;
    std::uint64_t ps;
};

// The first of each size is the canonical word.
constexpr std::array<TimeUnit, 17> time_units{{
    {"s", 1'000'000'000'000},
    {"ms", 1'000'000'000},
    {"us", 1'000'000},
    {"ns", 1'000},
    {"ps", 1},
    {"sec", 1'000'000'000'000},
    {"msec", 1'000'000'000},
    {"usec", 1'000'000},
    {"nsec", 1'000},
    {"\u00b5s", 1'000'000},  // micro sign
    {"\u03bcs", 1'000'000},  // Greek mu
    {"\u00b5sec", 1'000'000},
    {"\u03bcsec", 1'000'000},
    {"min", 60'000'000'000'000},
    {"h", 3'600'000'000'000'000},
    {"seconds", 1'000'000'000'000},
    {"second", 1'000'000'000'000},
}};

struct SizeUnit {
    std::string_view word;
    int shift;
};

constexpr std::array<SizeUnit, 20> size_units{{
    {"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0},    {"", 0},      {"k", 10},
    {"K", 10},   {"m", 20},   {"M", 20},   {"g", 30},   {"G", 30},   {"t", 40},    {"T", 40},
    {"kiB", 10}, {"kib", 10}, {"mib", 20}, {"gib", 30}, {"tib", 40}, {"bytes", 0},
}};

constexpr std::array<Unit, 11> rate_units{{
    {"iops", 1},
    {"kiops", 1e3},
    {"Miops", 1e6},
    {"ops/s", 1},
    {"kops/s", 1e3},
    {"Mops/s", 1e6},
    {"IOPS", 1},
    {"kIOPS", 1e3},
    {"KIOPS", 1e3},
    {"MIOPS", 1e6},
    {"/s", 1},
}};

constexpr std::array<Unit, 13> bandwidth_units{{
    {"MiB/s", 1048576.0},
    {"GiB/s", 1073741824.0},
    {"KiB/s", 1024.0},
    {"Gbps", 1.25e8},
    {"Mbps", 1.25e5},
    {"kbps", 1.25e2},
    {"B/s", 1.0},
    {"TiB/s", 1099511627776.0},
    {"Tbps", 1.25e11},
    {"Gbit/s", 1.25e8},
    {"Mbit/s", 1.25e5},
    {"kbit/s", 1.25e2},
    {"bps", 0.125},
}};

/// True for kB, MB, GB, ... in any case, of which tools disagree what they mean.
bool is_decimal_size(std::string_view unit) {
    return unit.size() == 2 && (unit[1] == 'B' || unit[1] == 'b') &&
           std::string_view("kKmMgGtT").find(unit[0]) != std::string_view::npos;
}

std::string binary_size(std::string_view unit) {
    const char letter = unit[0] >= 'a' ? static_cast<char>(unit[0] - 'a' + 'A') : unit[0];
    return std::string(1, letter) + "iB";
}

std::string with_pattern(std::string_view units) {
    return fmt::format("^\\s*[0-9]*\\.?[0-9]+([eE][-+]?[0-9]+)?\\s*({})\\s*$", units);
}

}  // namespace

sim::Time Format<sim::Time>::parse(std::string_view text) {
    const Quantity quantity = split(text);
    number_of(quantity, "time", "4 us");
    const std::string number(quantity.number);
    if (quantity.unit.empty()) {
        throw Mismatch("has no unit", fmt::format("write {0} us, {0} ms or {0} s", shown(number)));
    }
    for (const TimeUnit& unit : time_units) {
        if (unit.word != quantity.unit) {
            continue;
        }
        const Scaled ps = scale(*to_decimal(quantity.number), unit.ps);
        if (ps.overflow || ps.value > static_cast<std::uint64_t>(sim::Time::max().ps())) {
            throw Mismatch("is too long", "simulated time reaches 106 days");
        }
        if (ps.value == 0 && !ps.exact) {
            throw Mismatch("is shorter than 1 ps", "simulated time counts whole picoseconds");
        }
        return sim::Time::from_ps(static_cast<std::int64_t>(ps.value));
    }
    throw Mismatch(fmt::format("has the unknown unit '{}'", shown(quantity.unit)),
                   "units of time are ns, us, ms, s, min and h");
}

std::string Format<sim::Time>::text(sim::Time value) {
    const bool negative = value.ps() < 0;
    const auto ps = negative ? 0 - static_cast<std::uint64_t>(value.ps())
                             : static_cast<std::uint64_t>(value.ps());
    if (ps == 0) {
        return "0 s";
    }
    std::size_t i = 0;
    while (time_units[i].ps > ps) {
        ++i;
    }
    const TimeUnit& unit = time_units[i];
    std::string number = fmt::format("{}{}", negative ? "-" : "", ps / unit.ps);
    if (ps % unit.ps != 0) {
        std::string fraction = std::to_string(unit.ps + ps % unit.ps).substr(1);
        fraction.erase(fraction.find_last_not_of('0') + 1);
        number += "." + fraction;
    }
    return number + " " + std::string(unit.word);
}

Json Format<sim::Time>::schema() {
    return {{"type", "string"},
            {"pattern",
             with_pattern("ps|ns|us|ms|s|\u00b5s|\u03bcs|[num\u00b5\u03bc]?sec|"
                          "min|h|seconds?")}};
}

Bytes Format<Bytes>::parse(std::string_view text) {
    const Quantity quantity = split(text);
    number_of(quantity, "size", "128 KiB");
    if (is_decimal_size(quantity.unit)) {
        throw Mismatch(
            fmt::format("has the ambiguous unit '{}'", quantity.unit),
            fmt::format("write {}: sizes are powers of 1024", binary_size(quantity.unit)));
    }
    for (const SizeUnit& unit : size_units) {
        if (unit.word != quantity.unit) {
            continue;
        }
        const Scaled bytes = scale(*to_decimal(quantity.number), std::uint64_t{1} << unit.shift);
        if (bytes.overflow) {
            throw Mismatch("is too large");
        }
        if (!bytes.exact) {
            throw Mismatch("is not a whole number of bytes");
        }
        return {bytes.value};
    }
    throw Mismatch(fmt::format("has the unknown unit '{}'", shown(quantity.unit)),
                   "units of size are B, KiB, MiB, GiB and TiB");
}

std::string Format<Bytes>::text(Bytes value) {
    for (const SizeUnit& unit : size_units) {
        const std::uint64_t size = std::uint64_t{1} << unit.shift;
        if (unit.shift == 0 || (value.count >= size && value.count % size == 0)) {
            return fmt::format("{} {}", value.count / size, unit.word);
        }
    }
    return {};
}

Json Format<Bytes>::schema() {
    return {{"anyOf",
             Json::array({{{"type", "integer"}, {"minimum", 0}},
                          {{"type", "string"},
                           {"pattern", with_pattern("|B|bytes|[kKmMgGtT]|[kKMGT]iB|[kmgt]ib")}}})}};
}

Rate Format<Rate>::parse(std::string_view text) {
    return {with_unit(text, "rate", rate_units, "50 kiops or 200 ops/s")};
}

std::string Format<Rate>::text(Rate value) {
    return shortest_unit(value.per_second, std::span(rate_units).first(3));
}

Json Format<Rate>::schema() {
    return {{"type", "string"}, {"pattern", with_pattern("[kM]?iops|[kM]?ops/s|[kKM]?IOPS|/s")}};
}

Bandwidth Format<Bandwidth>::parse(std::string_view text) {
    const Quantity quantity = split(text);
    if (quantity.unit.ends_with("/s") && is_decimal_size(quantity.unit.substr(0, 2)) &&
        quantity.unit.size() == 4) {
        throw Mismatch(fmt::format("has the ambiguous unit '{}'", quantity.unit),
                       fmt::format("write {}/s (powers of 1024) or Gbps (decimal bits)",
                                   binary_size(quantity.unit)));
    }
    return {with_unit(text, "bandwidth", bandwidth_units, "100 MiB/s or 10 Gbps")};
}

std::string Format<Bandwidth>::text(Bandwidth value) {
    return shortest_unit(value.bytes_per_second, std::span(bandwidth_units).first(7));
}

Json Format<Bandwidth>::schema() {
    return {{"type", "string"}, {"pattern", with_pattern("B/s|[KMGT]iB/s|[kMGT]?bps|[kMG]bit/s")}};
}

Percent Format<Percent>::parse(std::string_view text) {
    const Quantity quantity = split(text);
    const double number = number_of(quantity, "percentage", "2 %");
    if (quantity.unit != "%") {
        throw Mismatch(quantity.unit.empty() ? "has no % sign" : "is not a percentage",
                       fmt::format("write {} %", shown(quantity.number)));
    }
    return {percent(quantity.number, number)};
}

std::string Format<Percent>::text(Percent value) {
    // The shortest decimal that gives the value back, its point moved by two places.
    const std::string shortest_text = fmt::format("{}", std::abs(value.fraction));
    const Decimal decimal = *to_decimal(shortest_text);
    std::string digits = std::to_string(static_cast<std::uint64_t>(decimal.digits));
    const int exponent = decimal.digits == 0 ? 0 : decimal.exponent + 2;
    if (exponent < -20 || exponent > 20) {
        digits += fmt::format("e{}", exponent);
    } else if (exponent >= 0) {
        digits.append(static_cast<std::size_t>(exponent), '0');
    } else {
        const auto places = static_cast<std::size_t>(-exponent);
        if (digits.size() <= places) {
            digits.insert(0, places + 1 - digits.size(), '0');
        }
        digits.insert(digits.size() - places, ".");
    }
    return (value.fraction < 0 ? "-" : "") + digits + " %";
}

Json Format<Percent>::schema() {
    return {{"type", "string"}, {"pattern", with_pattern("%")}};
}

Probability Format<Probability>::parse(std::string_view text) {
    const Quantity quantity = split(text);
    const double number = number_of(quantity, "probability", "0.3 or 30 %");
    if (!quantity.unit.empty() && quantity.unit != "%") {
        throw Mismatch("is not a probability", "write for example 0.3 or 30 %");
    }
    const double value = quantity.unit.empty() ? number : percent(quantity.number, number);
    if (value > 1) {
        throw Mismatch("is outside 0..1");
    }
    return {value};
}

std::string Format<Probability>::text(Probability value) {
    return fmt::format("{}", value.value);
}

Json Format<Probability>::schema() {
    return {{"anyOf",
             Json::array({{{"type", "number"}, {"minimum", 0}, {"maximum", 1}},
                          {{"type", "string"}, {"pattern", with_pattern("%")}}})}};
}

bool Format<bool>::parse(std::string_view text) {
    if (text == "true") {
        return true;
    }
    if (text == "false") {
        return false;
    }
    throw Mismatch("is neither true nor false");
}

unsigned Format<unsigned>::parse(std::string_view text) {
    return integer<unsigned>(text);
}

std::uint64_t Format<std::uint64_t>::parse(std::string_view text) {
    return integer<std::uint64_t>(text);
}

int Format<int>::parse(std::string_view text) {
    return integer<int>(text);
}

double Format<double>::parse(std::string_view text) {
    const auto value = to_double(trimmed(text));
    if (!value) {
        throw Mismatch("is not a number");
    }
    return *value;
}

std::string Format<double>::text(double value) {
    return fmt::format("{}", value);
}

}  // namespace fusesim::config

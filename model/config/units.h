#pragma once

#include "sim/time.h"

#include <nlohmann/json.hpp>

#include <compare>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fusesim::config {

/// Without the white space around it.
std::string_view trimmed(std::string_view text);

using Json = nlohmann::ordered_json;

/// A number of bytes. Written `4096`, `4k`, `4 KiB`, `1.5 MiB`; always powers of 1024.
struct Bytes {
    std::uint64_t count = 0;

    constexpr auto operator<=>(const Bytes&) const = default;
};

inline namespace literals {
constexpr Bytes operator""_B(unsigned long long n) {
    return {n};
}

constexpr Bytes operator""_KiB(unsigned long long n) {
    return {n << 10};
}

constexpr Bytes operator""_MiB(unsigned long long n) {
    return {n << 20};
}

constexpr Bytes operator""_GiB(unsigned long long n) {
    return {n << 30};
}
}  // namespace literals

/// Operations in a second. Written `50 kiops`, `200 iops`, `3 ops/s`.
struct Rate {
    double per_second = 0;

    constexpr auto operator<=>(const Rate&) const = default;
};

/// Bytes in a second. Written `100 MiB/s` (storage) or `10 Gbps` (networks, decimal bits).
struct Bandwidth {
    double bytes_per_second = 0;

    constexpr auto operator<=>(const Bandwidth&) const = default;
};

/// A share of something; may exceed one. Always written with its sign: `2 %`.
struct Percent {
    double fraction = 0;

    constexpr auto operator<=>(const Percent&) const = default;
};

/// From 0 to 1. Written `0.3` or `30 %`.
struct Probability {
    double value = 0;

    constexpr auto operator<=>(const Probability&) const = default;
};

/// A file that the configuration names; relative names start at the folder of the file they
/// stand in (on the command line: at the working directory).
struct File {
    std::string written;  ///< as in the configuration; this is what reports repeat
    std::string path;     ///< where to open it

    bool empty() const { return written.empty(); }

    bool operator==(const File&) const = default;
};

/// A text does not say what its type needs. what() completes a sentence: "has no unit".
class Mismatch : public std::runtime_error {
  public:
    explicit Mismatch(const std::string& complaint, std::string hint = "")
        : std::runtime_error(complaint), hint_(std::move(hint)) {}

    const std::string& hint() const { return hint_; }

  private:
    std::string hint_;
};

/// How a value is written. A type gets fields in configurations by specialising this:
///   type             its name in the reference, with the unit's examples
///   parse(text)      throws Mismatch
///   text(value)      canonical; parse(text(v)) == v
///   json(value)      in the effective configuration
///   schema()         JSON Schema of one value
template <class T>
struct Format;

template <>
struct Format<sim::Time> {
    static constexpr std::string_view type = "time";
    static sim::Time parse(std::string_view text);
    static std::string text(sim::Time value);

    static Json json(sim::Time value) { return text(value); }

    static Json schema();
};

template <>
struct Format<Bytes> {
    static constexpr std::string_view type = "size";
    static Bytes parse(std::string_view text);
    static std::string text(Bytes value);

    static Json json(Bytes value) { return text(value); }

    static Json schema();
};

template <>
struct Format<Rate> {
    static constexpr std::string_view type = "rate";
    static Rate parse(std::string_view text);
    static std::string text(Rate value);

    static Json json(Rate value) { return text(value); }

    static Json schema();
};

template <>
struct Format<Bandwidth> {
    static constexpr std::string_view type = "bandwidth";
    static Bandwidth parse(std::string_view text);
    static std::string text(Bandwidth value);

    static Json json(Bandwidth value) { return text(value); }

    static Json schema();
};

template <>
struct Format<Percent> {
    static constexpr std::string_view type = "percentage";
    static Percent parse(std::string_view text);
    static std::string text(Percent value);

    static Json json(Percent value) { return text(value); }

    static Json schema();
};

template <>
struct Format<Probability> {
    static constexpr std::string_view type = "probability";
    static Probability parse(std::string_view text);
    static std::string text(Probability value);

    static Json json(Probability value) { return value.value; }

    static Json schema();
};

template <>
struct Format<bool> {
    static constexpr std::string_view type = "true or false";
    static bool parse(std::string_view text);

    static std::string text(bool value) { return value ? "true" : "false"; }

    static Json json(bool value) { return value; }

    static Json schema() { return {{"type", "boolean"}}; }
};

template <>
struct Format<unsigned> {
    static constexpr std::string_view type = "number";
    static unsigned parse(std::string_view text);

    static std::string text(unsigned value) { return std::to_string(value); }

    static Json json(unsigned value) { return value; }

    static Json schema() { return {{"type", "integer"}, {"minimum", 0}}; }
};

template <>
struct Format<std::uint64_t> {
    static constexpr std::string_view type = "number";
    static std::uint64_t parse(std::string_view text);

    static std::string text(std::uint64_t value) { return std::to_string(value); }

    static Json json(std::uint64_t value) { return value; }

    static Json schema() { return {{"type", "integer"}, {"minimum", 0}}; }
};

template <>
struct Format<int> {
    static constexpr std::string_view type = "number";
    static int parse(std::string_view text);

    static std::string text(int value) { return std::to_string(value); }

    static Json json(int value) { return value; }

    static Json schema() { return {{"type", "integer"}}; }
};

template <>
struct Format<double> {
    static constexpr std::string_view type = "decimal number";
    static double parse(std::string_view text);
    static std::string text(double value);

    static Json json(double value) { return value; }

    static Json schema() { return {{"type", "number"}}; }
};

template <>
struct Format<std::string> {
    static constexpr std::string_view type = "text";

    static std::string parse(std::string_view text) { return std::string(text); }

    static std::string text(const std::string& value) { return value; }

    static Json json(const std::string& value) { return value; }

    static Json schema() { return {{"type", Json::array({"string", "number", "boolean"})}}; }
};

}  // namespace fusesim::config

#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace fusesim::sim {

/// A point or a span of simulated time in integer picoseconds; reaches 106 days.
class Time {
  public:
    constexpr Time() = default;

    static constexpr Time from_ps(std::int64_t ps) { return Time(ps); }

    static constexpr Time from_ns(std::int64_t ns) { return Time(ns * 1'000); }

    /// Rounds to the nearest picosecond.
    static constexpr Time from_seconds(double s) {
        const double ps = s * 1e12;
        return Time(static_cast<std::int64_t>(ps < 0 ? ps - 0.5 : ps + 0.5));
    }

    static constexpr Time max() { return Time(std::numeric_limits<std::int64_t>::max()); }

    constexpr std::int64_t ps() const { return ps_; }

    constexpr std::int64_t ns() const { return ps_ / 1'000; }

    constexpr double seconds() const { return static_cast<double>(ps_) * 1e-12; }

    constexpr auto operator<=>(const Time&) const = default;

    constexpr Time& operator+=(Time other) {
        ps_ += other.ps_;
        return *this;
    }

    constexpr Time& operator-=(Time other) {
        ps_ -= other.ps_;
        return *this;
    }

    friend constexpr Time operator+(Time a, Time b) { return Time(a.ps_ + b.ps_); }

    friend constexpr Time operator-(Time a, Time b) { return Time(a.ps_ - b.ps_); }

    friend constexpr Time operator*(Time a, std::int64_t n) { return Time(a.ps_ * n); }

    friend constexpr Time operator*(std::int64_t n, Time a) { return Time(a.ps_ * n); }

    friend constexpr Time operator/(Time a, std::int64_t n) { return Time(a.ps_ / n); }

  private:
    constexpr explicit Time(std::int64_t ps) : ps_(ps) {}

    std::int64_t ps_ = 0;
};

inline namespace literals {
constexpr Time operator""_ps(unsigned long long n) {
    return Time::from_ps(static_cast<std::int64_t>(n));
}

constexpr Time operator""_ns(unsigned long long n) {
    return 1'000_ps * static_cast<std::int64_t>(n);
}

constexpr Time operator""_us(unsigned long long n) {
    return 1'000'000_ps * static_cast<std::int64_t>(n);
}

constexpr Time operator""_ms(unsigned long long n) {
    return 1'000'000'000_ps * static_cast<std::int64_t>(n);
}

constexpr Time operator""_s(unsigned long long n) {
    return 1'000'000'000'000_ps * static_cast<std::int64_t>(n);
}
}  // namespace literals

}  // namespace fusesim::sim

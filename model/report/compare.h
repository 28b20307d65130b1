#pragma once

#include "report/result.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::report {

/// One number of two results. Absent numbers are those that a file does not have.
struct Difference {
    enum class Unit { plain, seconds, per_second, bytes_per_second };

    std::string metric;  ///< its path in the result file: "requests.READ.latency_s.mean"
    Unit unit = Unit::plain;
    std::optional<double> a;
    std::optional<double> b;
    std::optional<double> ratio;  ///< b / a; absent if either is, or if a is 0
    /// Chance of a difference as large as this one if there were none; absent without the spread
    /// of both numbers.
    std::optional<double> p;
    bool differs = false;
};

/// A setting of the effective configuration, or another property of the run, that is not the same.
/// Values are as in the file, "" where one has no such setting.
struct ChangedSetting {
    std::string key;
    std::string a;
    std::string b;
};

/// Two results beside each other.
struct Differences {
    double threshold = 0;
    std::vector<ChangedSetting> settings;
    std::vector<Difference> metrics;
};

/// What to make of two values with their 95 % intervals. The distance is set against that of both
/// limits that face each other, in quadrature (Zou and Donner's MOVER; for intervals that are
/// symmetric it is the z test).
struct Significance {
    double p = 1;
    bool differs = false;
};

Significance significance(double a, const Interval& a95, double b, const Interval& b95);

/// Numbers for which both files have a 95 % interval differ if that says so, all others if they
/// differ by more than `threshold` (relative to a).
Differences compare(const Result& a, const Result& b, double threshold);

Json to_json(const Differences& differences);

/// At most 80 columns wide. `a` and `b` are what to call the two.
std::string text(const Differences& differences, const std::string& a, const std::string& b);

}  // namespace fusesim::report

#pragma once

#include "config/units.h"
#include "report/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::report {

/// A number of a result by its short name, in SI units:
///
///     read.p99, READ.mean      latency of a call or a request: mean, p50, p95, p99, p999, max
///     read.per_s               calls in a second
///     ops_per_s (or throughput), read_bytes_per_s, write_bytes_per_s
///     mean                     latency of all calls, or in a replay of requests of these
///     cores                    CPU time of applications, daemon and kernel in a second
///     utilisation              of the busiest station, 0 to 1
class Metric {
  public:
    enum class Unit { seconds, per_second, bytes_per_second, cores, share };

    Metric() = default;
    /// Throws config::Mismatch for what is no such name.
    explicit Metric(std::string_view name);

    const std::string& name() const { return name_; }

    Unit unit() const { return unit_; }

    /// Of two values, the smaller one is the better.
    bool less_is_better() const;

    /// Throws config::Error where the result has no such number, with what it has.
    double of(const Result& result) const;

    /// "1.20 ms", "54.0 k": as reports show it.
    std::string text(double value) const;

    bool operator==(const Metric&) const = default;

  private:
    std::string name_;
    std::string subject_;    // call or opcode, "" for what belongs to the whole result
    std::string statistic_;  // of a latency
    Unit unit_ = Unit::seconds;
};

/// What somebody wants of a mount: `read.p99 < 2 ms`, `ops_per_s >= 20 kiops`.
struct Slo {
    enum class Relation { less, at_most, greater, at_least };

    /// Throws config::Mismatch.
    static Slo parse(std::string_view text);

    bool holds(double value) const;

    /// Whether larger values are further away from breaking it.
    bool more_is_safer() const {
        return relation == Relation::greater || relation == Relation::at_least;
    }

    bool operator==(const Slo&) const = default;

    std::string text;  ///< as it was written, blanks apart
    Metric metric;
    Relation relation = Relation::less;
    double limit = 0;  ///< SI
};

/// Which of them the result meets. Throws config::Error as Metric::of().
std::vector<SloVerdict> verdicts(const std::vector<Slo>& slos, const Result& result);

bool all_met(const std::vector<SloVerdict>& verdicts);

}  // namespace fusesim::report

namespace fusesim::config {

template <>
struct Format<fusesim::report::Metric> {
    static constexpr std::string_view type = "number of a result such as read.p99";

    static fusesim::report::Metric parse(std::string_view text) {
        return fusesim::report::Metric(text);
    }

    static std::string text(const fusesim::report::Metric& value) { return value.name(); }

    static Json json(const fusesim::report::Metric& value) { return value.name(); }

    static Json schema() { return {{"type", "string"}}; }
};

template <>
struct Format<fusesim::report::Slo> {
    static constexpr std::string_view type = "SLO such as read.p99 < 2 ms";

    static fusesim::report::Slo parse(std::string_view text) {
        return fusesim::report::Slo::parse(text);
    }

    static std::string text(const fusesim::report::Slo& value) { return value.text; }

    static Json json(const fusesim::report::Slo& value) { return value.text; }

    static Json schema() { return {{"type", "string"}}; }
};

}  // namespace fusesim::config

#pragma once

#include "sim/time.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace fusesim::sim {

/// A stream of random numbers with a name of its own: the same seed and name give the same numbers
/// whatever else draws (common random numbers between variants), on every compiler.
/// xoshiro256** (Blackman and Vigna, 2018), seeded by splitmix64 from seed and name.
class Random {
  public:
    Random(std::uint64_t seed, std::string_view name);

    std::uint64_t bits();
    double uniform();                          ///< in [0, 1), 53 bits
    std::uint64_t below(std::uint64_t bound);  ///< in [0, bound), unbiased; bound > 0
    double exponential(double mean);
    double normal(double mean, double deviation);

  private:
    std::array<std::uint64_t, 4> state_;
};

/// A distribution of times. One type for all shapes, so that a setting can name any.
class Distribution {
  public:
    enum class Shape {
        constant,
        uniform,
        exponential,
        normal,
        lognormal,
        erlang,
        hyperexponential,
        quantiles
    };

    static Distribution constant(Time value);
    static Distribution uniform(Time low, Time high);
    static Distribution exponential(Time mean);
    /// Truncated at zero: negative draws are drawn again.
    static Distribution normal(Time mean, Time deviation);
    /// Given by the mean and the coefficient of variation of the result, not of its logarithm.
    static Distribution lognormal(Time mean, double cv);
    static Distribution erlang(Time mean, unsigned stages);
    /// Two branches: with probability p mean `a`, else mean `b`.
    static Distribution hyperexponential(double p, Time a, Time b);
    /// Piecewise linear inverse distribution function through points (probability, value), which
    /// start at 0, end at 1 and never fall.
    static Distribution quantiles(std::vector<std::pair<double, Time>> points);

    Distribution() : Distribution(constant(Time())) {}

    Time draw(Random& random) const;

    Shape shape() const { return shape_; }

    Time mean() const;
    /// Squared coefficient of variation, for formulas of queueing theory.
    double scv() const;

    Time a() const { return Time::from_seconds(a_); }

    Time b() const { return Time::from_seconds(b_); }

    double p() const { return p_; }

    unsigned stages() const { return stages_; }

    const std::vector<std::pair<double, Time>>& points() const { return points_; }

  private:
    explicit Distribution(Shape shape) : shape_(shape) {}

    Shape shape_;
    Time fixed_;
    double a_ = 0;  // seconds
    double b_ = 0;
    double p_ = 0;
    unsigned stages_ = 1;
    std::vector<std::pair<double, Time>> points_;
};

}  // namespace fusesim::sim

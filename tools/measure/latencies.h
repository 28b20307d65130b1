#pragma once

#include "report/result.h"
#include "sim/histogram.h"
#include "sim/statistics.h"

#include <cstdint>
#include <vector>

namespace fusesim::measure {

/// How long calls took, in ns as they come; reported by the histogram that simulated latencies go
/// through, so that both worlds' quantiles are the same function of their values.
class Latencies {
  public:
    void add(std::int64_t ns) {
        sum_ += ns;
        histogram_.add(ns * ps_per_ns);
    }

    void merge(const Latencies& other) {
        sum_ += other.sum_;
        histogram_.merge(other.histogram_);
    }

    std::uint64_t count() const { return histogram_.count(); }

    double mean_s() const;

    report::Latency report() const;

  private:
    static constexpr std::int64_t ps_per_ns = 1000;

    sim::Wide sum_ = 0;
    sim::Histogram histogram_;
};

/// Half the range of the values relative to their median; 0 of fewer than two.
double relative_spread(std::vector<double> values);

}  // namespace fusesim::measure

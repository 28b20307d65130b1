#pragma once

#include "report/result.h"

#include <cstdint>
#include <optional>
#include <string>

namespace fusesim::report {

/// How often `waiting` is looked at around faults, in seconds.
inline constexpr double waiting_sample_s = 1e-3;

/// Sees what one fault did to the number of requests that wait, in simulations and on real mounts
/// alike. Times are seconds of the window.
class FaultWatch {
  public:
    /// Without `lasts_s` the fault is for good.
    FaultWatch(std::string kind, double at_s, std::optional<double> lasts_s);

    /// So many wait (/sys/fs/fuse/connections/N/waiting); call it in order of time.
    void sample(double at_s, std::uint64_t waiting);

    Fault result() const { return fault_; }

  private:
    double over_s() const { return fault_.at_s + fault_.lasts_s.value_or(0); }

    Fault fault_;
    double sum_before_ = 0;
    std::uint64_t samples_before_ = 0;
};

}  // namespace fusesim::report

#include "report/faults.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fusesim::report {

FaultWatch::FaultWatch(std::string kind, double at_s, std::optional<double> lasts_s) {
    fault_.kind = std::move(kind);
    fault_.at_s = at_s;
    fault_.lasts_s = lasts_s;
}

void FaultWatch::sample(double at_s, std::uint64_t waiting) {
    if (at_s < 0) {
        return;  // the warm-up
    }
    const auto number = static_cast<double>(waiting);
    if (at_s < fault_.at_s) {
        sum_before_ += number;
        fault_.waiting_before = sum_before_ / static_cast<double>(++samples_before_);
        return;
    }
    if (fault_.drain_s) {
        return;
    }
    fault_.waiting_peak = std::max(fault_.waiting_peak, number);
    if (at_s >= over_s() && number <= std::ceil(fault_.waiting_before)) {
        fault_.drain_s = at_s - over_s();
    }
}

}  // namespace fusesim::report

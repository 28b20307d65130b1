#include "latencies.h"

#include <algorithm>

namespace fusesim::measure {

double Latencies::mean_s() const {
    return count() == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count()) * 1e-9;
}

report::Latency Latencies::report() const {
    const auto quantile = [this](double q) { return histogram_.quantile(q) * 1e-12; };
    return {mean_s(),
            quantile(0.5),
            quantile(0.95),
            quantile(0.99),
            quantile(0.999),
            static_cast<double>(histogram_.max()) * 1e-12};
}

double relative_spread(std::vector<double> values) {
    if (values.size() < 2) {
        return 0;
    }
    std::sort(values.begin(), values.end());
    const double median = (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
    return median == 0 ? 0 : (values.back() - values.front()) / 2 / median;
}

}  // namespace fusesim::measure

#include "latencies.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

namespace fusesim::measure {

namespace {

/// Two-sided 95 % quantile of Student's t.
double student_t(std::size_t degrees) {
    constexpr double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    if (degrees <= std::size(table)) {
        return table[degrees - 1];
    }
    return 1.960 + 2.45 / static_cast<double>(degrees);  // to 0.001
}

}  // namespace

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

report::Interval interval95(const std::vector<double>& values) {
    const auto n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double value : values) {
        squares += (value - mean) * (value - mean);
    }
    const double half = student_t(values.size() - 1) * std::sqrt(squares / (n - 1) / n);
    return {mean - half, mean + half};
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

#include "workload/fit_distribution.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fusesim::workload {

using sim::Distribution;
using sim::Time;

namespace {

using Sample = std::vector<std::int64_t>;
using Points = std::vector<std::pair<double, Time>>;

// Tails are long: the points lie closer towards 1.
constexpr double probabilities[] = {
    0, .1, .2, .3, .4, .5, .6, .7, .8, .9, .95, .99, .999, .9999, 1};
// Values that must lie above an inner point, or it says nothing.
constexpr double fewest_above = 2;
// A line between two points may move the mean by this share of it before a point is put between.
// With 14 lines at most, what is left is below half a percent.
constexpr double tolerated = 3e-4;

/// `share` of the width before p1, with as many decimals as its first three digits need.
double place_between(double p0, double p1, double share) {
    const double width = p1 - p0;
    const bool near_end = share <= 0.5;
    const double distance = (near_end ? share : 1 - share) * width;
    const double unit = std::pow(10.0, std::floor(std::log10(distance)) - 2);
    const double rounded = std::round(distance / unit) * unit;
    const double p = near_end ? p1 - rounded : p0 + rounded;
    return std::round(p * 1e12) / 1e12;
}

/// A sorted sample with its running sums: the mean of any stretch of it.
class Ranked {
  public:
    explicit Ranked(Sample sample) : values_(std::move(sample)), sums_(values_.size() + 1) {
        std::sort(values_.begin(), values_.end());
        for (std::size_t i = 0; i < values_.size(); ++i) {
            sums_[i + 1] = sums_[i] + static_cast<double>(values_[i]);
        }
    }

    double size() const { return static_cast<double>(values_.size()); }

    double mean() const { return sums_.back() / size(); }

    std::int64_t least() const { return values_.front(); }

    std::int64_t most() const { return values_.back(); }

    double at(double p) const {
        const auto index = static_cast<std::size_t>(p * size());
        return static_cast<double>(values_[std::min(index, values_.size() - 1)]);
    }

    double mean_between(double p0, double p1) const {
        return (sum_below(p1) - sum_below(p0)) / ((p1 - p0) * size());
    }

  private:
    /// Sum of the share p of the smallest values; a value may lie in two stretches.
    double sum_below(double p) const {
        const double rank = p * size();
        const auto whole = std::min(static_cast<std::size_t>(rank), values_.size());
        const double part = rank - static_cast<double>(whole);
        return sums_[whole] +
               (whole < values_.size() ? part * static_cast<double>(values_[whole]) : 0);
    }

    Sample values_;
    std::vector<double> sums_;
};

/// Puts a point into (p0, p1) that gives the stretch the mean m; see fit.h.
void keep_mean(const Ranked& ranked, double p0, double p1, Points& points) {
    const double q0 = ranked.at(p0);
    const double q1 = ranked.at(p1);
    const double m = std::clamp(ranked.mean_between(p0, p1), q0, q1);
    const double moved = std::abs((q0 + q1) / 2 - m) * (p1 - p0);
    if (moved <= tolerated * ranked.mean()) {
        return;
    }
    const double share = (m - q0) / (q1 - q0);
    if (share <= 0 || share >= 1) {  // a jump right at one end: two equal values and a step
        const double step = (p1 - p0) * 1e-4;
        points.emplace_back(share <= 0 ? p1 - step : p0 + step, four_digits(m));
        return;
    }
    const double p = place_between(p0, p1, share);
    if (p > p0 && p < p1) {
        // The rounded place needs a value of its own.
        const double before = (p - p0) / (p1 - p0);
        const double value = 2 * m - q0 * before - q1 * (1 - before);
        points.emplace_back(p, four_digits(std::clamp(value, q0, q1)));
    }
}

}  // namespace

Time four_digits(double ns) {
    if (ns <= 0) {
        return Time();
    }
    const double unit = std::pow(10.0, std::floor(std::log10(ns)) - 3);
    return Time::from_seconds(std::round(ns / unit) * unit * 1e-9);
}

Distribution fit_distribution(Sample sample) {
    const Ranked ranked(std::move(sample));
    if (ranked.size() < fewest_for_quantiles || ranked.least() == ranked.most()) {
        return Distribution::constant(four_digits(ranked.mean()));
    }
    Points points;
    double before = 0;
    for (const double p : probabilities) {
        if (p > 0 && p < 1 && (1 - p) * ranked.size() < fewest_above) {
            continue;
        }
        if (p > 0) {
            keep_mean(ranked, before, p, points);
        }
        points.emplace_back(p, four_digits(ranked.at(p)));
        before = p;
    }
    return Distribution::quantiles(std::move(points));
}

}  // namespace fusesim::workload

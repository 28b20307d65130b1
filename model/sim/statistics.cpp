#include "sim/statistics.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace fusesim::sim {

namespace {

/// Two-sided quantile of Student's t by the Cornish-Fisher expansion in 1/freedom
/// (Abramowitz and Stegun 26.7.5); within 0.1 % from nine degrees of freedom up.
double student_t(double confidence, double freedom) {
    const double z = confidence >= 0.99 ? 2.5758293035489 : 1.9599639845401;
    const double z2 = z * z;
    const double g1 = (z2 + 1) * z / 4;
    const double g2 = ((5 * z2 + 16) * z2 + 3) * z / 96;
    const double g3 = (((3 * z2 + 19) * z2 + 17) * z2 - 15) * z / 384;
    return z + g1 / freedom + g2 / (freedom * freedom) + g3 / (freedom * freedom * freedom);
}

}  // namespace

void BatchMeans::add(double value) {
    total_ += value;
    ++count_;
    open_ += value;
    if (++in_open_ < batch_size_) {
        return;
    }
    batches_.push_back(open_);
    open_ = 0;
    in_open_ = 0;
    if (batches_.size() == most_batches) {
        for (std::size_t i = 0; i < most_batches / 2; ++i) {
            batches_[i] = batches_[2 * i] + batches_[2 * i + 1];
        }
        batches_.resize(most_batches / 2);
        batch_size_ *= 2;
    }
}

double BatchMeans::half_width(double confidence) const {
    const auto n = static_cast<double>(batches_.size());
    if (batches_.size() < 10) {
        return std::numeric_limits<double>::infinity();
    }
    const auto size = static_cast<double>(batch_size_);
    double mean = 0;
    for (const double sum : batches_) {
        mean += sum / size / n;
    }
    double variance = 0;
    for (const double sum : batches_) {
        variance += (sum / size - mean) * (sum / size - mean) / (n - 1);
    }
    return student_t(confidence, n - 1) * std::sqrt(variance / n);
}

double Tally::mean() const {
    return count() > 0 ? static_cast<double>(sum_) / static_cast<double>(count()) : 0;
}

double TimeAverage::mean(Time now) const {
    const std::int64_t span = (now - window_).ps();
    return span > 0 ? static_cast<double>(area(now)) / static_cast<double>(span)
                    : static_cast<double>(value_);
}

void Station::begin_window(Time now) {
    present_.begin_window(now);
    busy_.begin_window(now);
    waiting_.clear();
    service_.clear();
    sojourn_.clear();
}

double Station::utilisation(Time now) const {
    return servers_ > 0 ? busy_.mean(now) / servers_ : 0;
}

void Station::check(Time now) const {
    const auto present = static_cast<std::int64_t>(arrivals_ - departures_);
    if (present < 0 || present != lifetime_.value()) {
        throw std::logic_error(fmt::format("station {}: {} arrivals, {} departures, {} present",
                                           name_,
                                           arrivals_,
                                           departures_,
                                           lifetime_.value()));
    }
    const Wide arrivals_of_present = arrival_sum_ - departed_arrival_sum_;
    const bool possible =
        arrivals_of_present >= 0 && arrivals_of_present <= static_cast<Wide>(present) * now.ps();
    if (!little_holds_ || !possible) {
        throw std::logic_error(fmt::format(
            "station {}: area under the queue length and sum of sojourn times differ", name_));
    }
}

}  // namespace fusesim::sim

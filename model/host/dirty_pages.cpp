#include "host/dirty_pages.h"

#include <algorithm>
#include <cmath>

namespace fusesim::host {

using sim::Time;
using namespace sim::literals;

namespace {

// mm/page-writeback.c
constexpr Time bandwidth_interval = 200_ms;   // BANDWIDTH_INTERVAL
constexpr Time max_pause = 200_ms;            // MAX_PAUSE
constexpr Time min_pause = 10_ms;             // the least worth sleeping: wb_min_pause()
constexpr double bandwidth_period_s = 4.096;  // roundup_pow_of_two(3 * HZ) at 1000 or 250 Hz
constexpr double completions_period_s = 3;    // VM_COMPLETIONS_PERIOD_LEN

/// pos_ratio_polynom(): 1 at the set point, 0 at the limit, at most 2.
double polynomial(double setpoint, double dirty, double limit) {
    const double x = (setpoint - dirty) / std::max(1.0, limit - setpoint);
    return std::clamp(1 + x * x * x, 0.0, 2.0);
}

}  // namespace

void DirtyPages::Completions::fade(Time now) {
    value *= std::exp2(-(now - at).seconds() / completions_period_s);
    at = now;
}

void BackingDevice::write_ended(std::uint64_t pages, Time now) {
    writing_ -= pages;
    total_written_ += pages;
    domain_.pages_ -= pages;
    for (DirtyPages::Completions* completions : {&completions_, &domain_.completions_}) {
        completions->fade(now);
        completions->value += static_cast<double>(pages);
    }
}

double BackingDevice::own_threshold(Time now) {
    completions_.fade(now);
    domain_.completions_.fade(now);
    const auto threshold = static_cast<double>(domain_.threshold());
    const double all = domain_.completions_.value;
    const double mine = all > 0 ? threshold * std::min(1.0, completions_.value / all) : 0;
    return strict_ ? std::min(mine, threshold / 100) : mine;
}

BackingDevice::Limits BackingDevice::limits(Time now) {
    const auto threshold = static_cast<double>(domain_.threshold());
    const auto background = static_cast<double>(domain_.background());
    if (!strict_) {
        return {static_cast<double>(domain_.pages()), background, threshold};
    }
    const double own = own_threshold(now);
    return {static_cast<double>(dirty_ + writing_), own * background / threshold, own};
}

bool BackingDevice::free_run(Time now) {
    const Limits l = limits(now);
    return l.dirty <= (l.background + l.threshold) / 2;
}

bool BackingDevice::over_background(Time now) {
    if (!domain_.limited() || dirty_ == 0) {
        return false;
    }
    const auto background = static_cast<double>(domain_.background());
    const double own = own_threshold(now) * background / static_cast<double>(domain_.threshold());
    return domain_.pages() > domain_.background() || static_cast<double>(dirty_) > own;
}

// wb_position_ratio()
double BackingDevice::position_ratio(Time now) {
    const auto threshold = static_cast<double>(domain_.threshold());
    const auto background = static_cast<double>(domain_.background());
    const auto dirty = static_cast<double>(domain_.pages());
    const auto mine = static_cast<double>(dirty_ + writing_);
    const double setpoint = ((threshold + background) / 2 + threshold) / 2;
    double ratio = dirty >= threshold ? 0 : polynomial(setpoint, dirty, threshold);
    double own = own_threshold(now);
    if (strict_) {
        if (mine < 8) {
            return std::min(ratio * 2, 2.0);
        }
        if (mine >= own) {
            return 0;
        }
        const double own_setpoint = (own + own * background / threshold) / 2;
        return std::min(ratio, polynomial(own_setpoint, mine, own));
    }
    own = std::max(std::min(own, threshold), (threshold - dirty) / 8);
    const double x = own / (threshold + 1);
    const double own_setpoint = setpoint * x;
    const double span = (threshold - own + 8 * average_bandwidth_) * x;
    const double intercept = own_setpoint + span;
    ratio *= mine < intercept - span / 4
                 ? (intercept - mine) / std::max(1.0, intercept - own_setpoint)
                 : 0.25;
    const double reserve = own / 2;
    if (mine < reserve) {
        ratio *= mine > reserve / 8 ? reserve / mine : 8;
    }
    return ratio;
}

// wb_update_write_bandwidth() and wb_update_dirty_ratelimit()
void BackingDevice::update_rates(Time now) {
    const double elapsed = (now - updated_).seconds();
    if (now - updated_ < bandwidth_interval) {
        return;
    }
    const double written = static_cast<double>(total_written_ - written_then_);
    const double dirtied = static_cast<double>(total_dirtied_ - dirtied_then_);
    updated_ = now;
    written_then_ = total_written_;
    dirtied_then_ = total_dirtied_;

    const double old = bandwidth_;
    if (elapsed > bandwidth_period_s) {
        bandwidth_ = average_bandwidth_ = written / elapsed;
    } else {
        bandwidth_ = (written + bandwidth_ * (bandwidth_period_s - elapsed)) / bandwidth_period_s;
        if (average_bandwidth_ > old && old >= bandwidth_) {
            average_bandwidth_ -= (average_bandwidth_ - old) / 8;
        } else if (average_bandwidth_ < old && old <= bandwidth_) {
            average_bandwidth_ += (old - average_bandwidth_) / 8;
        }
    }
    average_bandwidth_ = std::max(1.0, average_bandwidth_);

    const double task = rate_limit_ * position_ratio(now) + 1;
    double balanced = task * average_bandwidth_ / std::max(1.0, dirtied / elapsed);
    balanced = std::min(balanced, average_bandwidth_);
    const Limits l = limits(now);
    const double setpoint = ((l.threshold + l.background) / 2 + l.threshold) / 2;
    double step = 0;
    if (l.dirty < setpoint) {
        const double x = std::min({balanced_rate_limit_, balanced, task});
        step = std::max(0.0, x - rate_limit_);
    } else {
        const double x = std::max({balanced_rate_limit_, balanced, task});
        step = std::max(0.0, rate_limit_ - x);
    }
    const double shift = std::floor(rate_limit_ / (2 * step + 1));
    step = shift < 64 ? (step / std::exp2(shift) + 7) / 8 : 0;
    rate_limit_ = rate_limit_ < balanced ? rate_limit_ + step : rate_limit_ - step;
    rate_limit_ = std::max(1.0, rate_limit_);
    balanced_rate_limit_ = balanced;
}

Time BackingDevice::pause(const Thread& thread, std::uint64_t pages, Time now) {
    if (!domain_.limited()) {
        return {};
    }
    Task& task = tasks_[&thread];
    task.pages += pages;
    if (free_run(now)) {
        task = {0, now};
        return {};
    }
    update_rates(now);
    const double rate = rate_limit_ * position_ratio(now);
    // wb_max_pause(): not so long that the device runs dry.
    const double dry =
        static_cast<double>(dirty_ + writing_) / (1 + average_bandwidth_ / 128) * 0.004 + 0.004;
    const Time longest = std::min(max_pause, Time::from_seconds(dry));
    const Time period =
        rate < 1 ? longest : Time::from_seconds(static_cast<double>(task.pages) / rate);
    const Time due = task.paused + period;
    const Time wait = due > now ? due - now : Time();
    if (rate >= 1 && wait < std::min(min_pause, longest)) {
        if (now - due > 1_s) {  // a task that was slower than it might: no credit for long ago
            task = {0, now};
        }
        return {};
    }
    const Time sleep = std::min(wait, longest);
    task = {0, now + sleep};
    return std::max(sleep, rate < 1 ? longest : Time());
}

}  // namespace fusesim::host

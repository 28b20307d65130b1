#pragma once

#include "sim/statistics.h"
#include "sim/time.h"

#include <algorithm>
#include <cstdint>

namespace fusesim::device {

/// Tokens that come at a steady rate, up to as many as the bucket holds. Counts in whole 10^-12 of
/// a token, of which `rate` come in each picosecond, so that nothing is ever rounded but the time
/// of an answer, up to the next picosecond.
class TokenBucket {
  public:
    /// Full at time zero.
    TokenBucket(std::int64_t rate_per_second, std::int64_t size)
        : rate_(rate_per_second), most_(size * scale), content_(most_) {}

    std::int64_t size() const { return static_cast<std::int64_t>(most_ / scale); }

    /// When `tokens`, at most size(), are there if nobody takes any from `now` on.
    sim::Time ready(sim::Time now, std::int64_t tokens) const {
        const sim::Wide missing = tokens * scale - content(now);
        if (missing <= 0) {
            return now;
        }
        return now + sim::Time::from_ps(static_cast<std::int64_t>((missing + rate_ - 1) / rate_));
    }

    /// Takes them out at a time not before the last one.
    void take(sim::Time now, std::int64_t tokens) {
        // Tokens that were complete within this very picosecond went before the bucket overflowed.
        const sim::Wide left = inflow(now) - tokens * scale;
        content_ = left < rate_ ? left : content(now) - tokens * scale;
        since_ = now;
    }

  private:
    static constexpr sim::Wide scale = 1'000'000'000'000;

    sim::Wide inflow(sim::Time now) const {
        return content_ + static_cast<sim::Wide>((now - since_).ps()) * rate_;
    }

    sim::Wide content(sim::Time now) const { return std::min(most_, inflow(now)); }

    std::int64_t rate_;
    sim::Wide most_;
    sim::Wide content_;
    sim::Time since_;
};

}  // namespace fusesim::device

#include "search.h"

#include <algorithm>
#include <cmath>

namespace fusesim::plan {

namespace {

/// Between a good value and one that is not; nothing if they are close enough.
std::optional<double> between(const Bounds& bounds, double good, double bad) {
    const double lower = std::min(good, bad);
    const double upper = std::max(good, bad);
    if (bounds.whole) {
        const double middle = std::floor((lower + upper) / 2);
        return middle > lower ? std::optional(middle) : std::nullopt;
    }
    const bool close = upper <= lower * (1 + bounds.precision);
    return close ? std::nullopt : std::optional((lower + upper) / 2);
}

}  // namespace

Found search(const Bounds& bounds, const std::function<bool(double)>& good) {
    double value = std::clamp(bounds.start, bounds.low, bounds.high);
    const bool begins_good = good(value);
    // Towards the end that was asked for while it is good, away from it while it is not.
    const bool upwards = bounds.largest == begins_good;
    const double end = upwards ? bounds.high : bounds.low;
    double previous = value;
    bool turned = false;
    while (!turned && value != end) {
        previous = value;
        value = upwards ? std::min(value * 2, end) : std::max(value / 2, end);
        value = bounds.whole ? std::floor(value) : value;
        turned = good(value) != begins_good;
    }
    if (!turned) {
        return begins_good ? Found{value, std::nullopt} : Found{std::nullopt, value};
    }
    double best = begins_good ? previous : value;
    double beyond = begins_good ? value : previous;
    while (const auto middle = between(bounds, best, beyond)) {
        (good(*middle) ? best : beyond) = *middle;
    }
    return {best, beyond};
}

}  // namespace fusesim::plan

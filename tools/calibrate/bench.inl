#pragma once

#include "stamps.h"

namespace fusesim::calibrate {

template <typename Call>
double time_once(Call call) {
    const std::uint64_t before = stamps::ticks();
    call();
    const std::uint64_t after = stamps::ticks();
    return static_cast<double>(after - before) * tick_ns() - stamp_ns();
}

template <typename Call>
void Timed::operator()(Call call) {
    times_.add(time_once(call));
}

template <typename Round>
void repeat_for(double seconds, Round round) {
    const auto limit = static_cast<std::uint64_t>(seconds * 1e9 / tick_ns());
    const std::uint64_t began = stamps::ticks();
    for (int done = 0; done < 3 || stamps::ticks() - began < limit; ++done) {
        round();
    }
}

template <typename Once>
Sample batch_times(Once once, double seconds, int batch) {
    Sample batches;
    const std::uint64_t began = stamps::ticks();
    const auto limit = static_cast<std::uint64_t>(seconds * 1e9 / tick_ns());
    std::uint64_t now = began;
    do {
        const std::uint64_t start = stamps::ticks();
        for (int i = 0; i < batch; ++i) {
            once();
        }
        now = stamps::ticks();
        batches.add(static_cast<double>(now - start) * tick_ns() / batch);
    } while (now - began < limit);
    return batches;
}

template <typename Once>
double time_of(Once once, double seconds, int batch) {
    return median(batch_times(once, seconds, batch).values());
}

template <typename Once>
double mean_time_of(Once once, double seconds) {
    constexpr int batch = 8;  // calls of some microseconds each
    return batch_times(once, seconds, batch).mean();
}

}  // namespace fusesim::calibrate

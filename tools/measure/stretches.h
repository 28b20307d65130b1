#pragma once

#include "latencies.h"
#include "pace.h"
#include "workload/operations.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace fusesim::measure {

/// Kinds of calls that are timed: workload::Op, and the close() of open and create.
inline constexpr std::size_t call_kinds = 10;
inline constexpr std::size_t close_call = 9;

/// Kind and nanoseconds.
using TimedCall = std::pair<std::size_t, std::int64_t>;

/// What one thread did within its window.
struct Tally {
    std::array<Latencies, call_kinds> calls;
    std::uint64_t steps = 0;
    std::uint64_t read_bytes = 0;
    std::uint64_t write_bytes = 0;
    std::int64_t span_ns = 0;  ///< of the stretches that count

    void merge(const Tally& other);
};

/// Counts what a thread does, in stretches of a millisecond. Where an empty system call at full
/// pace is given, a stretch counts only if its core was at that pace right before and right after
/// it.
class Stretches {
  public:
    explicit Stretches(std::optional<double> full_pace_ns) : full_pace_ns_(full_pace_ns) {}

    /// What follows counts as done from `at` on, in nanoseconds of real::now_ns().
    void begin(std::int64_t at);
    void end(std::int64_t at);

    void add_step(workload::Op op, std::uint32_t size, const std::vector<TimedCall>& calls);

    /// Between two steps: ends a stretch that is long enough and begins the next.
    void go_on(std::int64_t now) {
        if (now - began_ >= real::Pace::stretch_ns) {
            end(now);
            resume(watch_ ? real::now_ns() : now);  // looking takes time
        }
    }

    const Tally& kept() const { return kept_; }

    /// All time between begin() and end(), kept or not.
    std::int64_t span_ns() const { return span_ns_; }

  private:
    void resume(std::int64_t at);

    std::optional<double> full_pace_ns_;
    std::optional<real::PaceWatch> watch_;
    std::int64_t began_ = 0;
    std::int64_t span_ns_ = 0;
    std::vector<TimedCall> calls_;
    std::uint64_t steps_ = 0;
    std::uint64_t read_bytes_ = 0;
    std::uint64_t write_bytes_ = 0;
    Tally kept_;
};

}  // namespace fusesim::measure

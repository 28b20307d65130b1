#pragma once

#include <cstdint>

namespace fusesim::real {

/// Nanoseconds of CLOCK_MONOTONIC.
std::int64_t now_ns();

/// What an empty system call takes now on this core, in nanoseconds: the fastest of a few. Some
/// microseconds' work.
double empty_call_ns();

/// Tells when a core runs at its full pace. A virtual core is slower by a third while the other
/// half of its physical core works for somebody else, for milliseconds to seconds; an empty system
/// call shows it.
class Pace {
  public:
    /// Time between two looks: as long as the pace mostly lasts.
    static constexpr std::int64_t stretch_ns = 1'000'000;

    /// `full_ns`: an empty system call at full pace.
    explicit Pace(double full_ns) : slowest_ns_(tolerance * full_ns) {}

    bool is_full() const { return empty_call_ns() <= slowest_ns_; }

  private:
    static constexpr double tolerance = 1.12;

    double slowest_ns_;
};

/// Tells of one stretch of work after another whether all of it counts: whether its core was at
/// full pace right before and right after it.
class PaceWatch {
  public:
    explicit PaceWatch(const Pace& pace) : pace_(pace), was_full_(pace.is_full()) {}

    /// At the end of a stretch, which is the beginning of the next: whether it counts.
    bool end() {
        const bool before = was_full_;
        was_full_ = pace_.is_full();
        return before && was_full_;
    }

  private:
    Pace pace_;
    bool was_full_;
};

/// The fastest tenth of looks at empty system calls during `seconds`, in nanoseconds.
double fastest_call_ns(double seconds);

}  // namespace fusesim::real

#pragma once

#include "process.h"

#include <sched.h>

#include <cstddef>
#include <string>
#include <vector>

namespace fusesim::calibrate {

/// A measured number: the median over repeats, and half the range of the middle
/// repeats relative to it.
struct Figure {
    double value = 0;   ///< nanoseconds unless its user says otherwise
    double spread = 0;  ///< relative
};

/// `q` from 0 to 1, of values in any order; 0 if there are none.
double quantile(std::vector<double> values, double q);

double median(std::vector<double> values);

/// The mean of the middle eight tenths: robust, and yet adds up where medians do not.
double middle_mean(std::vector<double> values);

/// The mean, as whoever makes many calls pays it: with timer interrupts and the odd reordered
/// call. The slowest half percent are the host's doing (another guest ran) and count as the next.
double usual_mean(const std::vector<double>& values);

/// What repeats of one measurement agree on.
Figure agree(const std::vector<double>& repeats);

/// Nanoseconds of one tick of stamps::ticks(); measured once.
double tick_ns();

/// What one stamp costs, in nanoseconds; measured once.
double stamp_ns();

using real::Child;
using real::pin;
using real::run_on;
using real::usable_cores;

/// Memory that children share; zeroed, touched, freed with the object.
class Shared {
  public:
    explicit Shared(std::size_t bytes);
    ~Shared();
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

    template <typename T>
    T* as() {
        return static_cast<T*>(memory_);
    }

  private:
    void* memory_;
    std::size_t bytes_;
};

/// Another scheduling policy for as long as this lives; children inherit it.
class Policy {
  public:
    explicit Policy(int policy) { set(policy); }

    ~Policy() { set(SCHED_OTHER); }

    Policy(const Policy&) = delete;
    Policy& operator=(const Policy&) = delete;

  private:
    static void set(int policy);
};

/// An open file, closed with the object. Throws std::system_error if it cannot be opened.
class Descriptor {
  public:
    Descriptor(const std::string& path, int flags);
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    int get() const { return fd_; }

  private:
    int fd_;
};

/// Times one kind of call, one by one, without what the stamps cost.
class Timed {
  public:
    template <typename Call>
    void operator()(Call call);

    /// Nanoseconds of one call; 0 if there was none.
    double typical() const { return usual_mean(times_); }

  private:
    std::vector<double> times_;
};

/// Runs `round` for about `seconds`, at least three times.
template <typename Round>
void repeat_for(double seconds, Round round);

/// Runs `once` in batches for about `seconds` and returns the nanoseconds of one call
/// (median of the batches). A batch should be much shorter than a scheduler's turn, so that a
/// busy machine spoils few of them.
template <typename Once>
double time_of(Once once, double seconds, int batch = 256);

/// The same for calls that others interrupt or reorder now and then: their usual mean.
template <typename Once>
double mean_time_of(Once once, double seconds);

}  // namespace fusesim::calibrate

#include "bench.inl"

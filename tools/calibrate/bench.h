#pragma once

#include "pace.h"
#include "process.h"

#include <sched.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fusesim::calibrate {

inline constexpr std::size_t page = 4096;  ///< bytes

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

/// What repeats of one measurement agree on.
Figure agree(const std::vector<double>& repeats);

/// From now on the clock counts instructions (kernel-ref/guest): the pace is always the same, there
/// are no caches, and short looks are enough.
void set_exact_clock();
bool exact_clock();

/// Nanoseconds of one tick of stamps::ticks(); measured once.
double tick_ns();

/// What one stamp costs, in nanoseconds; measured once.
double stamp_ns();

/// One kind of thing that takes time away from a busy core every now and then: ticks of a clock,
/// the host's other work.
struct Interruption {
    double interval = 0;  ///< nanoseconds from one to the next, mean
    double time = 0;      ///< that one takes, in nanoseconds
};

/// What interrupts a computing thread on the core where this was first called: gaps of more than
/// half a microsecond between two stamps during a second at full pace, by their length.
const std::vector<Interruption>& interruptions();

/// The share of time that these take.
double interrupted_share();

/// Times of one kind of call, of stretches in which the machine ran at its full pace.
class Sample {
  public:
    Sample();

    /// Times are added right after they were taken.
    void add(double ns);

    /// Kept ones; all, if hardly any was taken at full pace.
    const std::vector<double>& values() const;

    /// What one costs whoever makes many, what the kernel does for it later on the same core
    /// included, and interruptions excluded; 0 if there was none.
    double mean() const;

  private:
    real::PaceWatch watch_;
    std::int64_t began_;
    std::vector<double> stretch_;
    std::vector<double> kept_;
    std::vector<double> all_;
};

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

    const std::string& path() const { return path_; }

  private:
    std::string path_;
    int fd_;
};

/// Nanoseconds of one call, without what the stamps cost.
template <typename Call>
double time_once(Call call);

/// Times one kind of call, one by one.
class Timed {
  public:
    template <typename Call>
    void operator()(Call call);

    /// Nanoseconds of one call; 0 if there was none.
    double mean() const { return times_.mean(); }

  private:
    Sample times_;
};

/// Runs `round` for about `seconds`, at least three times.
template <typename Round>
void repeat_for(double seconds, Round round);

/// Runs `once` in batches for about `seconds` and returns the nanoseconds of one call
/// (median of the batches). A batch should be much shorter than a scheduler's turn, so that a
/// busy machine spoils few of them.
template <typename Once>
double time_of(Once once, double seconds, int batch = 256);

/// The same for calls that are reordered or cause later work now and then: their mean.
template <typename Once>
double mean_time_of(Once once, double seconds);

}  // namespace fusesim::calibrate

#include "bench.inl"

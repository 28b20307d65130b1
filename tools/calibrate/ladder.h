#pragma once

#include "bench.h"

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::calibrate {

/// Mean phases of requests, in nanoseconds, as a recorder sees them.
struct RecordedPhases {
    double queue = 0;
    double processing = 0;
    double reply = 0;
};

/// Records the GETATTRs that `calls` make on a mount of that device, which that process serves.
using Record =
    std::function<RecordedPhases(dev_t device, pid_t daemon, const std::function<void()>& calls)>;

struct Plan {
    std::filesystem::path daemon;  ///< the nullfs program
    std::filesystem::path ring;    ///< the uringfs program; empty: io_uring is not measured
    std::filesystem::path stack;   ///< the stackfs program; empty: passthrough is not measured
    int repeats = 27;              ///< many short ones outvote a neighbour's burst
    double seconds = 0.04;         ///< of one small measurement
    int wake_ups = 60;             ///< for each idle gap and repeat
    bool exact = false;            ///< the clock counts instructions
    Record record;                 ///< if it is to be known what recording costs
};

/// What a wake-up cost after the woken core had been idle for some time: by a thread on another
/// core, or where there is none, by a timer.
struct IdleGap {
    double idle = 0;              ///< nanoseconds
    std::vector<double> running;  ///< p0, p10 .. p100: from the wake-up call to running
    std::vector<double> waker;    ///< p0, p10 .. p100: what the waker spent; empty: a timer
    double cold = 0;              ///< what the first work after it took longer; median
    double returned = 0;          ///< share of placements on this idle core; see measure_return
    double mean = 0;              ///< of `running`
    double spread = 0;            ///< of the repeats' medians
    std::vector<double> timed;    ///< p0, p10 .. p100: from the time a timer was set to, to running
};

/// One row of the closing check: a sum of parts against what was measured whole.
struct Check {
    std::string call;
    Figure measured;
    double predicted = 0;
    double error = 0;     ///< relative; the median of the repeats' own errors
    bool fitted = false;  ///< the parts were solved from this very call
};

/// What calls on one file system below a daemon cost.
struct LowerProfile {
    std::map<std::string, Figure> calls;  ///< nanoseconds, by key of the host profile
    std::vector<std::pair<std::size_t, Figure>> read;
    std::vector<std::pair<std::size_t, Figure>> write;
    Figure far{};             ///< LowerTimes::far
    double memory_share = 1;  ///< what further pages of a run cost beside Profile::memory_run
    std::vector<double> fsync_blocked;  ///< p0, p10 .. p100; empty: it never sleeps
    std::vector<double> fdatasync_blocked;
};

/// Tunables of the fair scheduler before Linux 6.6, in nanoseconds.
struct Cfs {
    double latency = 0;
    double min_granularity = 0;
    double wakeup_granularity = 0;
    double skipped = 0;  ///< of a wake-up that preempts, what counts as the woken one's
};

struct Profile {
    std::map<std::string, Figure> costs;        ///< nanoseconds, by key of the host profile
    std::map<std::string, Figure> uring;        ///< the same, of its table `uring`
    std::map<std::string, Figure> vfs;          ///< the same, of its table `vfs`
    std::map<std::string, Figure> library;      ///< likewise, `library`
    std::map<std::string, LowerProfile> lower;  ///< by file system
    std::vector<std::pair<std::size_t, Figure>> copies;
    /// Extra of a page and of each further page of a run, by bytes in use.
    std::vector<std::pair<std::size_t, Figure>> memory;
    std::vector<std::pair<std::size_t, Figure>> memory_run;
    std::vector<IdleGap> idle_exit;
    std::vector<Interruption> interruptions;
    std::vector<Check> checks;
    double slice = 0;        ///< nanoseconds; 0 if the kernel does not tell
    Cfs cfs;                 ///< all 0 if the kernel has another scheduler
    std::string preemption;  ///< of kernel code: none, voluntary, ...; empty: unknown
    double turn = 0;         ///< nanoseconds that a hog runs before the other one's turn
    double stayed = 0;       ///< share of placements beside the waker in spite of an idle core
    double preempted = 0;    ///< share of replies whose receiver ran before the daemon went on
    std::vector<int> cores;
    std::size_t repeats = 0;
    std::size_t kept = 0;  ///< repeats at the machine's usual pace
};

/// All measurements, a repeat at a time: many short ones, among which other work may be done.
class Ladder {
  public:
    /// Called with what comes next.
    using Step = std::function<void(const std::string& what)>;

    /// Looks at the machine's scheduler. Throws std::system_error where the machine does not let
    /// it.
    explicit Ladder(const Plan& plan);
    ~Ladder();
    Ladder(const Ladder&) = delete;
    Ladder& operator=(const Ladder&) = delete;

    /// Measures everything once; some seconds. Throws as above.
    void repeat(const Step& step);

    /// What the repeats so far tell; there must be one.
    Profile profile() const;

    /// What an empty system call takes at the pace at which the profile's numbers were measured.
    double pace_ns() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Called with the share done and what is being measured.
using Progress = std::function<void(double done, const std::string& what)>;

/// The whole ladder of `plan.repeats`. Throws as Ladder.
Profile measure_ladder(const Plan& plan, const Progress& progress);

}  // namespace fusesim::calibrate

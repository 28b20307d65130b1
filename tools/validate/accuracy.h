#pragma once

#include "measure.h"
#include "report/result.h"
#include "suite.h"

#include <optional>
#include <string>
#include <vector>

namespace fusesim::validate {

/// What was measured of one cell.
struct Reference {
    struct Round {
        double ops_per_s = 0;
        double mean_s = 0;  ///< of the cell's first operation
        double p99_s = 0;
        double kept_share = 1;  ///< of the time, in which the machine ran at its full pace
    };

    std::vector<Round> rounds;
    report::Result recorded;           ///< of the pass that recorded requests
    std::uint64_t recorded_steps = 0;  ///< operations of that pass
    double own_s = 0;                  ///< what measuring one operation costs

    unsigned good_rounds() const;
    /// One number of all good rounds.
    std::vector<double> values(double Round::*number) const;
};

/// Adds one measurement. `operation` is the name of the cell's first operation. Times are divided
/// by `slowness`: how much slower the machine's full pace is than when the host profile was made.
void add_round(Reference& reference,
               const measure::Measured& measured,
               const std::string& operation,
               double slowness);

/// Takes over what was recorded of the requests.
void add_requests(Reference& reference, const measure::Measured& measured);

/// One number of one cell, measured and simulated.
struct Verdict {
    std::string cell;
    std::string group;
    std::string metric;  ///< throughput, latency_mean, latency_p99, count.READ
    std::string unit;
    double reference = 0;
    double spread = 0;  ///< half the range over the rounds, relative
    double predicted = 0;
    double error = 0;  ///< (predicted - reference) / reference
    bool calibration = false;
    bool ok = true;
};

/// The same number of two cells that differ in one part.
struct Change {
    std::string from;
    std::string to;
    double reference_ratio = 0;
    double predicted_ratio = 0;
    double error = 0;  ///< of the ratio, relative
    bool right_direction = true;
};

/// Errors of one group's throughputs and mean latencies; cells of calibration are left out.
struct Summary {
    std::string group;
    std::size_t n = 0;
    double median = 0;
    double p90 = 0;
    double worst = 0;
    double within = 0;      ///< share of verdicts that are ok
    double p99_within = 0;  ///< share of p99 latencies within 30 %
    double phases_within = 1;
    double counts_within = 1;
};

/// All changes together.
struct ChangeSummary {
    double right_direction = 0;  ///< share of them
    double median = 0;           ///< of the ratios' errors
};

struct Accuracy {
    std::vector<Verdict> verdicts;
    std::vector<Change> changes;
    ChangeSummary change_summary;
    std::vector<Summary> summaries;
};

/// Everything known of one cell.
struct CellResult {
    Cell cell;
    Reference reference;
    report::Result simulated;
    report::Result simulated_pass;  ///< as many operations as in the pass that recorded requests
    std::string operation;
};

/// Whether the suite as a whole is as accurate as the bounds say, else each number as its tolerance
/// says.
bool passes(const Accuracy& accuracy, const std::optional<Bounds>& bounds);

/// Compares all cells with their simulations, and all pairs of cells that differ in one part. With
/// a tolerance of its own the suite has phases of requests judged, too.
Accuracy compare(const std::vector<CellResult>& results,
                 const std::optional<Tolerance>& tolerance = std::nullopt);

}  // namespace fusesim::validate

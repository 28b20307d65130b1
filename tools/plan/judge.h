#pragma once

#include "report/result.h"
#include "report/slo.h"

#include <optional>
#include <vector>

namespace fusesim::plan {

/// An SLO and what several runs of a scenario, with different seeds, say about it.
struct Judged {
    report::Slo slo;
    double mean = 0;                           ///< over the runs
    std::optional<report::Interval> interval;  ///< 95 %, of three runs or more
    bool met = false;                          ///< also at the worse end of the interval
    bool certain = true;                       ///< both ends say the same
};

/// At least one run.
Judged judge(const report::Slo& slo, const std::vector<report::Result>& runs);

std::vector<Judged> judge(const std::vector<report::Slo>& slos,
                          const std::vector<report::Result>& runs);

bool all_met(const std::vector<Judged>& all);
bool all_certain(const std::vector<Judged>& all);

/// How one variant differs from another in a number, run by run with the same seeds: b / a - 1.
struct Change {
    double mean = 0;
    std::optional<report::Interval> interval;  ///< 95 %, of three runs or more

    /// The interval does not hold 0.
    bool certain() const;

    /// Certain, and at least `least` either way.
    bool matters(double least) const;
};

/// As many runs of `a` as of `b`, at least one.
Change change(const report::Metric& metric,
              const std::vector<report::Result>& a,
              const std::vector<report::Result>& b);

}  // namespace fusesim::plan

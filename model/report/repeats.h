#pragma once

#include "report/result.h"

#include <vector>

namespace fusesim::report {

/// The confidence interval of the mean of independent values (Student's t); at least two.
Interval interval(const std::vector<double>& values, double confidence);

/// The same with 95 %.
Interval interval95(const std::vector<double>& values);

/// How far the mean may be off: half the interval relative to the mean. Infinite without a mean.
double relative_error(const std::vector<double>& values, double confidence);

/// The same faults in several runs: means, but the most that waited and that failed in any of them.
/// A fault has cleared if it did in each run.
std::vector<Fault> pooled_faults(const std::vector<std::vector<Fault>>& runs);

/// Several runs of one scenario with different seeds as one result. Its numbers are means over the
/// runs, percentiles too; `max` is the greatest. Throughput and the mean latencies of operations
/// have intervals if there are three runs or more. What a run lacks, and the comparison with a
/// recording, are those of the first. At least one run.
Result pooled(const std::vector<Result>& runs);

}  // namespace fusesim::report

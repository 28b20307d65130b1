#pragma once

#include "report/result.h"

#include <vector>

namespace fusesim::report {

/// The 95 % confidence interval of the mean of independent values (Student's t); at least two.
Interval interval95(const std::vector<double>& values);

/// Several runs of one scenario with different seeds as one result. Throughput and the mean
/// latencies of operations are means over the runs, with intervals if there are three or more;
/// all else is that of the first run. At least one run.
Result pooled(const std::vector<Result>& runs);

}  // namespace fusesim::report

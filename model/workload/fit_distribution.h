#pragma once

#include "sim/random.h"
#include "sim/time.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fusesim::workload {

/// Fewer values than this become a constant, their mean.
inline constexpr std::size_t fewest_for_quantiles = 10;

/// Quantiles of the sample (ns, not negative, at least one value) whose piecewise linear
/// interpolation has the mean of the sample. The points at fixed probabilities are quantiles of the
/// sample. Between two of them, the straight line has a mean of its own; where that is not the
/// sample's mean m there, a point is put in between: with the ends (p0, q0), (p1, q1) and
/// g = (m - q0) / (q1 - q0), the two lines through (p1 - g (p1 - p0), m) have the mean m. So each
/// part keeps its mean, the last one too, whatever the largest value is.
sim::Distribution fit_distribution(std::vector<std::int64_t> sample);

/// Rounded to four digits: what a sample knows of a time, and legible.
sim::Time four_digits(double ns);

}  // namespace fusesim::workload

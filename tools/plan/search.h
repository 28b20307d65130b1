#pragma once

#include <functional>
#include <optional>

namespace fusesim::plan {

/// Where to look for the end of the values that are good enough.
struct Bounds {
    double low = 1;
    double high = 1024;
    double start = 1;  ///< looked at first
    bool whole = true;
    bool largest = true;      ///< of the good values, look for the largest; else the smallest
    double precision = 0.02;  ///< relative, of values that need not be whole
};

struct Found {
    std::optional<double> best;    ///< nothing: no value is good
    std::optional<double> beyond;  ///< the nearest value that is not good; nothing: none was seen
};

/// Doubles or halves from the start until one side is good and the other is not, then halves the
/// distance. Supposes that from some value on all are good or none. `good` may be asked for a
/// value more than once.
Found search(const Bounds& bounds, const std::function<bool(double)>& good);

}  // namespace fusesim::plan

#pragma once

#include <cstddef>

namespace fusesim::calibrate {

/// Nanoseconds of one kernel copy of `size` bytes to user memory, caches as in steady use:
/// a read of page cache less a read of one byte.
double measure_copy(std::size_t size, double seconds);

/// Nanoseconds of copying `size` bytes in user mode, four KiB at a time, for comparison.
double measure_user_copy(std::size_t size, double seconds);

}  // namespace fusesim::calibrate

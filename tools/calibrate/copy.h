#pragma once

#include <cstddef>

namespace fusesim::calibrate {

/// Nanoseconds of copying `size` bytes in user mode, four KiB at a time.
double measure_user_copy(std::size_t size, double seconds);

}  // namespace fusesim::calibrate

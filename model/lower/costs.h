#pragma once

#include "host/memory.h"
#include "host/profile.h"
#include "sim/random.h"

#include <cstdint>
#include <vector>

namespace fusesim::lower {

/// What reading or writing that much data of a lower file system costs, by `rows` of `costs`, while
/// all of it is in memory.
sim::Time data_time(const host::LowerCosts& costs,
                    const std::vector<host::SizeCost>& rows,
                    std::uint64_t bytes,
                    const host::Memory& memory);

/// Time asleep, from quantiles at equal steps; none if there are none.
sim::Distribution blocked(const std::vector<sim::Time>& quantiles);

}  // namespace fusesim::lower

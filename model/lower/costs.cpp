#include "lower/costs.h"

#include <utility>

namespace fusesim::lower {

using sim::Time;

Time data_time(const host::LowerCosts& costs,
               const std::vector<host::SizeCost>& rows,
               std::uint64_t bytes,
               const host::Memory& memory) {
    const std::uint64_t pages = (bytes + 4095) / 4096;
    return host::Costs::time_by_size(rows, bytes) + memory.pages(pages, costs.memory_share);
}

sim::Distribution blocked(const std::vector<Time>& quantiles) {
    if (quantiles.empty()) {
        return sim::Distribution::constant(Time());
    }
    std::vector<std::pair<double, Time>> points;
    for (std::size_t i = 0; i < quantiles.size(); ++i) {
        points.emplace_back(static_cast<double>(i) / static_cast<double>(quantiles.size() - 1),
                            quantiles[i]);
    }
    return sim::Distribution::quantiles(points);
}

}  // namespace fusesim::lower

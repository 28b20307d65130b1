#include "host/memory.h"

#include <algorithm>

namespace fusesim::host {

namespace {

/// The last row holds for all that is larger.
sim::Time by_size(const std::vector<SizeCost>& rows, std::uint64_t bytes) {
    return rows.empty() ? sim::Time()
                        : Costs::time_by_size(rows, std::min(bytes, rows.back().size.count));
}

}  // namespace

void Memory::grow(std::uint64_t bytes) {
    if (bytes > 0) {
        in_use_ += bytes;
        page_ = by_size(page_rows_, in_use_);
        run_ = by_size(run_rows_, in_use_);
    }
}

sim::Time Memory::pages(std::uint64_t count, double share) const {
    if (count == 0) {
        return {};
    }
    const double further = static_cast<double>(count - 1) * share;
    return page_ + sim::Time::from_seconds(run_.seconds() * further);
}

bool Memory::is_recent(std::uint64_t then) const {
    return page_rows_.empty() || traffic_ - then < page_rows_.front().size.count;
}

}  // namespace fusesim::host

#pragma once

#include "host/profile.h"
#include "sim/time.h"

#include <cstdint>
#include <vector>

namespace fusesim::host {

/// What the machine's memory adds to work on data that has left the cores' caches. Who uses data
/// says how much there is of it; all of it is taken to be used in turns, so that a page comes round
/// when as much other data has passed as there is.
class Memory {
  public:
    /// Costs of a page, and of each further page of a run, by the size of the data in use.
    Memory(const std::vector<SizeCost>& page, const std::vector<SizeCost>& run)
        : page_rows_(page), run_rows_(run) {}

    /// So much more data is in use.
    void grow(std::uint64_t bytes);

    /// Whether more data makes no difference any more: there are no costs of so much.
    bool settled() const {
        return in_use_ >= last_row(page_rows_) && in_use_ >= last_row(run_rows_);
    }

    /// Of a run of pages that is used after everything else. `share` of what further pages cost is
    /// what they cost here.
    sim::Time pages(std::uint64_t count, double share = 1) const;

    /// So much data has passed; returns when that was.
    std::uint64_t pass(std::uint64_t bytes) { return traffic_ += bytes; }

    /// Whether what was used when pass() returned `then` still lies in the caches.
    bool is_recent(std::uint64_t then) const;

  private:
    static std::uint64_t last_row(const std::vector<SizeCost>& rows) {
        return rows.empty() ? 0 : rows.back().size.count;
    }

    std::vector<SizeCost> page_rows_;
    std::vector<SizeCost> run_rows_;
    std::uint64_t in_use_ = 0;
    std::uint64_t traffic_ = 0;
    sim::Time page_;
    sim::Time run_;
};

}  // namespace fusesim::host

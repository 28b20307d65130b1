#pragma once

#include "daemon/file_system.h"
#include "host/memory.h"
#include "host/profile.h"

#include <cstdint>
#include <vector>

namespace fusesim::daemon {

/// What reading or writing that much data of a lower file system costs, by `rows` of `lower`; all
/// of it is in memory.
sim::Time data_time(const host::LowerCosts& lower,
                    const std::vector<host::SizeCost>& rows,
                    std::uint64_t bytes,
                    const host::Memory& memory);

/// Passes every request on to a lower file system, by the calls that kernel-ref/daemons/stackfs
/// makes; what those cost, cached, is in the host profile.
class StackFs : public FileSystem {
  public:
    StackFs(const host::LowerCosts& lower, std::uint64_t seed);

    sim::Task<> handle(host::Thread& worker, transport::Call& call) override;
    void forget(host::Thread& worker, std::size_t count) override;

    bool includes_library() const override { return false; }

  private:
    sim::Time on_core(const transport::Call& call, const host::Memory& memory) const;
    sim::Time entries(const transport::Call& call) const;
    static sim::Distribution blocked(const std::vector<sim::Time>& quantiles);

    const host::LowerCosts& lower_;
    sim::Distribution fsync_blocked_;
    sim::Random random_;
};

}  // namespace fusesim::daemon

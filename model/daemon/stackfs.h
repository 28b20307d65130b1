#pragma once

#include "daemon/file_system.h"
#include "host/memory.h"
#include "host/profile.h"
#include "lower/ext4.h"

#include <cstdint>

namespace fusesim::daemon {

/// Passes every request on to a lower file system, by the calls that kernel-ref/daemons/stackfs
/// makes; what those cost, cached, is in the host profile. With a disk they also wait for it.
class StackFs : public FileSystem {
  public:
    /// `disk` is null if all is taken to be in memory.
    StackFs(const host::LowerCosts& lower, lower::Ext4* disk, std::uint64_t seed);

    sim::Task<> handle(host::Thread& worker, transport::Call& call) override;
    void forget(host::Thread& worker, std::size_t count) override;

    bool includes_library() const override { return false; }

  private:
    sim::Time on_core(const transport::Call& call, const host::Memory& memory) const;
    sim::Time entries(const transport::Call& call) const;
    sim::Task<> on_disk(host::Thread& worker, transport::Call& call);

    const host::LowerCosts& lower_;
    lower::Ext4* disk_;
    sim::Distribution fsync_blocked_;
    sim::Random random_;
};

}  // namespace fusesim::daemon

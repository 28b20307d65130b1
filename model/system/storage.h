#pragma once

#include "device/settings.h"
#include "host/cpu.h"
#include "lower/block_queue.h"
#include "lower/ext4.h"
#include "report/result.h"
#include "system/scenario.h"

#include <memory>
#include <vector>

namespace fusesim::system {

/// What lies below the lower file system: device, block layer, and the file system on them.
class Storage {
  public:
    Storage(host::Cpu& cpu, const Scenario& scenario, std::unique_ptr<device::Device> device);

    lower::Ext4& disk() { return disk_; }

    void begin_window(sim::Time now);
    void check(sim::Time now) const;
    /// The stations of block layer and device, and the device's parts.
    std::vector<report::Station> stations(sim::Time now) const;

    std::uint64_t cached_pages() const { return disk_.cached_pages(); }

  private:
    std::unique_ptr<device::Device> device_;
    lower::BlockQueue queue_;
    lower::Ext4 disk_;
};

/// What a scenario with a device needs; reports what is missing.
void check_storage(const Scenario& scenario,
                   const config::Document& document,
                   config::Problems& problems);

report::Station station_of(const sim::Station& station, sim::Time now);

}  // namespace fusesim::system

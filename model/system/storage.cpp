#include "system/storage.h"

#include "config/units.h"
#include "sim/distribution_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fusesim::system {

using sim::Time;

namespace {

/// Smaller devices have another layout.
constexpr std::uint64_t least_device = std::uint64_t{1} << 30;

lower::BlockSettings block_settings(const LowerConfig& lower, const device::Facts& facts) {
    lower::BlockSettings settings;
    // elevator_get_default(): mq-deadline for devices with one queue.
    settings.scheduler = lower.scheduler.value_or(facts.queues == 1 ? lower::Scheduler::mq_deadline
                                                                    : lower::Scheduler::none);
    settings.queue_depth = facts.queues * facts.depth;
    // blk_mq_default_nr_requests(): twice what a queue of the hardware takes, of 128 at most.
    settings.nr_requests = lower.nr_requests.value_or(settings.scheduler == lower::Scheduler::none
                                                          ? settings.queue_depth
                                                          : 2 * std::min(facts.depth, 128u));
    settings.most_bytes = static_cast<std::uint32_t>(lower.max_sectors.count);
    return settings;
}

lower::Ext4Settings ext4_settings(const Scenario& scenario, const device::Facts& facts) {
    lower::Ext4Settings settings;
    settings.device_bytes = facts.capacity;
    settings.readahead_pages = scenario.lower.read_ahead.count / 4096;
    settings.cold = scenario.workload.cache == workload::NativeConfig::Cache::cold;
    settings.journal.commit = scenario.lower.commit;
    settings.journal.barrier = scenario.lower.barrier;
    settings.journal.fua = facts.fua;
    settings.seed = scenario.run.seed;
    return settings;
}

}  // namespace

report::Station station_of(const sim::Station& station, Time now) {
    return {station.name(),
            station.utilisation(now),
            station.queue_length(now),
            station.waiting().mean_seconds(),
            station.service().mean_seconds()};
}

Storage::Storage(host::Cpu& cpu, const Scenario& scenario, std::unique_ptr<device::Device> device)
    : device_(std::move(device)),
      queue_(cpu, *device_, block_settings(scenario.lower, device::facts(*scenario.device))),
      disk_(cpu, queue_, ext4_settings(scenario, device::facts(*scenario.device))) {}

void Storage::begin_window(Time now) {
    device_->begin_window(now);
    queue_.begin_window(now);
}

void Storage::check(Time now) const {
    device_->station().check(now);
    queue_.check(now);
}

std::vector<report::Station> Storage::stations(Time now) const {
    std::vector<report::Station> out{station_of(queue_.station(), now),
                                     station_of(device_->station(), now)};
    for (const device::Usage& part : device_->usage(now)) {
        report::Station station;
        station.name = "device " + part.part;
        station.utilisation = part.utilisation;
        out.push_back(station);
    }
    return out;
}

void check_storage(const Scenario& scenario,
                   const config::Document& document,
                   config::Problems& problems) {
    const LowerConfig& lower = scenario.lower;
    const LowerConfig defaults;
    if (!scenario.device) {
        const std::pair<const char*, bool> settings[] = {
            {"scheduler", lower.scheduler.has_value()},
            {"nr_requests", lower.nr_requests.has_value()},
            {"max_sectors", lower.max_sectors.count != defaults.max_sectors.count},
            {"read_ahead", lower.read_ahead.count != defaults.read_ahead.count},
            {"commit", lower.commit != defaults.commit},
            {"barrier", lower.barrier != defaults.barrier}};
        for (const auto& [key, given] : settings) {
            if (given) {
                problems.add(
                    document.place(std::string("lower.") + key),
                    fmt::format("lower.{} means nothing without a device: all is in memory", key),
                    "set device, or leave it out");
            }
        }
        return;
    }
    if (!scenario.host->memory) {
        problems.add(document.place("device"),
                     "with a device, host.memory must say how much memory caches files",
                     "e.g. host: {memory: 4 GiB}");
    }
    const device::Facts facts = device::facts(*scenario.device);
    if (facts.capacity < least_device) {
        problems.add(document.place("device"), "a device below 1 GiB is too small for ext4");
        return;
    }
    const workload::NativeConfig& workload = scenario.workload;
    const double bytes =
        static_cast<double>(workload.files.size.count) * workload.files.count * workload.threads;
    // What ext4 leaves of a device: inode tables, journal, blocks reserved for root (5 %).
    if (bytes > 0.93 * static_cast<double>(facts.capacity)) {
        problems.add(document.place("workload"),
                     fmt::format("{:.0f} GiB of files do not fit on a device of {:.0f} GiB",
                                 bytes / (1 << 30),
                                 static_cast<double>(facts.capacity) / (1 << 30)),
                     "set workload.files");
    }
}

}  // namespace fusesim::system

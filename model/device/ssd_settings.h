#pragma once

#include "config/map.h"
#include "device/flash_layout.h"
#include "sim/time.h"

namespace fusesim::device {

using namespace config::literals;
using namespace sim::literals;

/// The way to the host. A command occupies the link for `read_command` or `write_command` besides
/// its data: frames or packets that set it up and end it.
struct SsdLinkConfig {
    config::Bandwidth read{2.1e9};  ///< payload, after coding and framing
    config::Bandwidth write{2.1e9};
    sim::Time read_command;
    sim::Time write_command;
};

/// The firmware: one command after another for the times `read`, `write`, `random_write`, which
/// limits the rate; `*_latency` passes beside that.
struct SsdControllerConfig {
    sim::Time read;
    sim::Time write;
    sim::Time random_write;  ///< of a write that does not continue the one before
    sim::Time read_latency;
    sim::Time write_latency;
    sim::Time flush_latency;
    sim::Time trim_latency;
};

/// The flash chips and their channels.
struct SsdFlashConfig {
    unsigned channels = 8;
    unsigned dies = 4;  ///< on each channel
    unsigned planes = 2;
    unsigned blocks = 1024;  ///< of a plane
    unsigned pages = 256;    ///< of a block
    config::Bytes page = 16_KiB;
    sim::Time read = 50_us;
    sim::Time program = 700_us;
    sim::Time erase = 3_ms;
    config::Bandwidth channel{8e8};
    unsigned programming_dies = 0;  ///< at the same time, for the current they draw; 0: all
    unsigned reads_first = 16;      ///< reads that may pass a waiting program
};

/// Blocks written with one bit per cell, which take new data until they are full; emptied when the
/// drive is idle. Simplified: they are blocks of their own, never lent to the rest of the flash.
struct SsdCacheConfig {
    config::Bytes size;
    unsigned bits = 3;  ///< per cell elsewhere: pages that a block loses
    sim::Time read = 30_us;
    sim::Time program = 200_us;
    sim::Time idle = 100_ms;  ///< before it is emptied
};

struct SsdConfig {
    enum class Interface { sata, nvme };

    Interface interface = Interface::nvme;
    config::Bytes capacity = 1_GiB;
    unsigned queues = 1;
    unsigned queue_depth = 32;
    config::Bytes unit = 4_KiB;  ///< what one entry of the mapping stands for
    config::Bytes write_buffer = 1_MiB;
    bool volatile_buffer = true;  ///< a flush has to wait until the buffer is on flash
    Precondition precondition = Precondition::filled;
    SsdLinkConfig link;
    SsdControllerConfig controller;
    SsdFlashConfig flash;
    SsdCacheConfig slc_cache;

    FlashShape shape() const;

    std::uint64_t units() const { return (capacity.count + unit.count - 1) / unit.count; }
};

void bind(config::Map& map, SsdLinkConfig& link);
void bind(config::Map& map, SsdControllerConfig& controller);
void bind(config::Map& map, SsdFlashConfig& flash);
void bind(config::Map& map, SsdCacheConfig& cache);
void bind(config::Map& map, SsdConfig& config);

}  // namespace fusesim::device

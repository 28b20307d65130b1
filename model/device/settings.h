#pragma once

#include "config/map.h"
#include "device/device.h"
#include "device/hdd.h"
#include "device/pmem.h"
#include "device/queueing_device.h"
#include "device/remote_store.h"
#include "device/ssd.h"
#include "device/virtual_disk.h"
#include "sim/engine.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace fusesim::device {

/// One device as a scenario or a part in configs/devices describes it: the kind and its settings.
/// A new kind is an alternative here, a word at the same place of `device_types`, a bind() of its
/// config and a line in make_device().
struct DeviceSettings {
    using Kinds = std::variant<QueueingDeviceConfig,
                               HddConfig,
                               PmemConfig,
                               SsdConfig,
                               VirtualDiskConfig,
                               RemoteStoreConfig>;

    std::string name;                               ///< for people, e.g. "Seagate Savvio 15K.2"
    std::map<std::string, std::string> provenance;  ///< where the numbers come from
    Kinds kind;
};

inline constexpr std::array<std::string_view, std::variant_size_v<DeviceSettings::Kinds>>
    device_types = {"queueing", "hdd", "pmem", "ssd", "virtual_disk", "remote_store"};

void bind(config::Map& map, DeviceSettings& settings);

/// What the block layer learns of a device when it finds it.
struct Facts {
    std::uint64_t capacity = std::uint64_t{1} << 40;  ///< bytes; kinds without a size have this
    unsigned queues = 1;                              ///< of the hardware
    unsigned depth = 128;                             ///< commands in each
    bool fua = true;                                  ///< durable writes without a flush
    bool rotational = false;
};

Facts facts(const DeviceSettings& settings);

/// `name` is the station's in reports. `seed` is the run's; devices draw from streams of their own.
std::unique_ptr<Device> make_device(sim::Engine& engine,
                                    std::string name,
                                    const DeviceSettings& settings,
                                    std::uint64_t seed);

}  // namespace fusesim::device

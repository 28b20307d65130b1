#include "device/settings.h"

#include <utility>

namespace fusesim::device {

namespace {

/// One overload a kind.
struct Make {
    sim::Engine& engine;
    std::string name;
    std::uint64_t seed;

    std::unique_ptr<Device> operator()(const QueueingDeviceConfig& config) {
        return std::make_unique<QueueingDevice>(engine, std::move(name), config, seed);
    }

    std::unique_ptr<Device> operator()(const HddConfig& config) {
        return std::make_unique<Hdd>(engine, std::move(name), config);
    }

    std::unique_ptr<Device> operator()(const SsdConfig& config) {
        return std::make_unique<Ssd>(engine, std::move(name), config, seed);
    }

    std::unique_ptr<Device> operator()(const VirtualDiskConfig& config) {
        return std::make_unique<VirtualDisk>(engine, std::move(name), config, seed);
    }

    std::unique_ptr<Device> operator()(const RemoteStoreConfig& config) {
        return std::make_unique<RemoteStore>(engine, std::move(name), config, seed);
    }

    std::unique_ptr<Device> operator()(const PmemConfig& config) {
        return std::make_unique<Pmem>(engine, std::move(name), config, seed);
    }
};

struct Know {
    Facts operator()(const QueueingDeviceConfig&) const { return {}; }

    Facts operator()(const HddConfig& config) const {
        return {HddLayout(config).sectors() * 512, 1, config.queue.depth, true, true};
    }

    Facts operator()(const SsdConfig& config) const {
        // libata does not use FUA unless it is told to (libata.fua).
        const bool nvme = config.interface == SsdConfig::Interface::nvme;
        return {config.capacity.count, config.queues, config.queue_depth, nvme, false};
    }

    Facts operator()(const VirtualDiskConfig&) const { return {}; }

    Facts operator()(const RemoteStoreConfig& config) const {
        Facts out;
        out.depth = config.connections;
        return out;
    }

    Facts operator()(const PmemConfig& config) const {
        Facts out;
        out.capacity = config.capacity.count;
        return out;
    }
};

}  // namespace

void bind(config::Map& map, DeviceSettings& settings) {
    map.field("name", settings.name, "make and model, for people");
    map.field("provenance", settings.provenance, "where the numbers come from");
    map.choice("type", settings.kind, device_types, "what kind of device it is");
}

Facts facts(const DeviceSettings& settings) {
    return std::visit(Know{}, settings.kind);
}

std::unique_ptr<Device> make_device(sim::Engine& engine,
                                    std::string name,
                                    const DeviceSettings& settings,
                                    std::uint64_t seed) {
    return std::visit(Make{engine, std::move(name), seed}, settings.kind);
}

}  // namespace fusesim::device

#include "device/queueing_device.h"

#include "sim/distribution_format.h"

namespace fusesim::device {

using sim::Time;

void bind(config::Map& map, QueueingDeviceConfig& config) {
    map.field("servers", config.servers, 1, 65'535, "requests served at the same time");
    map.field("service", config.service, "time that one request takes");
}

QueueingDevice::QueueingDevice(sim::Engine& engine,
                               std::string name,
                               const QueueingDeviceConfig& config,
                               std::uint64_t seed)
    : engine_(engine),
      config_(config),
      random_(seed, "device." + name),
      servers_(engine, "a server of " + name, config.servers),
      station_(std::move(name), config.servers) {}

sim::Task<> QueueingDevice::serve(const Io&) {
    const Time arrived = engine_.now();
    station_.arrive(arrived);
    co_await servers_.take();
    const Time began = engine_.now();
    station_.begin_service(began, arrived);
    co_await engine_.delay(config_.service.draw(random_));
    station_.depart(engine_.now(), arrived, began);
    servers_.give_back();
}

}  // namespace fusesim::device

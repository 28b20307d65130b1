#pragma once

#include "config/map.h"
#include "device/device.h"
#include "device/places.h"
#include "sim/engine.h"
#include "sim/random.h"

namespace fusesim::device {

struct QueueingDeviceConfig {
    unsigned servers = 1;
    sim::Distribution service;
};

void bind(config::Map& map, QueueingDeviceConfig& config);

/// `servers` identical servers behind one first-come-first-served queue: M/M/c and its relatives.
class QueueingDevice : public Device {
  public:
    QueueingDevice(sim::Engine& engine,
                   std::string name,
                   const QueueingDeviceConfig& config,
                   std::uint64_t seed);

    sim::Task<> serve(const Io& io) override;

    const sim::Station& station() const override { return station_; }

    void begin_window(sim::Time now) override { station_.begin_window(now); }

  private:
    sim::Engine& engine_;
    QueueingDeviceConfig config_;
    sim::Random random_;
    Places servers_;
    sim::Station station_;
};

}  // namespace fusesim::device

#pragma once

#include "sim/statistics.h"
#include "sim/task.h"

#include <cstdint>
#include <string>
#include <vector>

namespace fusesim::device {

/// One request to a block device.
struct Io {
    enum class Kind : std::uint8_t { read, write, flush, trim };

    Kind kind = Kind::read;
    bool fua = false;          ///< a write that is durable when it ends
    std::uint16_t stream = 0;  ///< who asks, for devices and schedulers that tell streams apart
    std::uint32_t bytes = 0;
    std::uint64_t offset = 0;  ///< bytes
};

/// How busy a part of a device was in the measured window.
struct Usage {
    std::string part;
    double utilisation = 0;
};

/// A storage device. Whoever has something to read or write waits in serve() until it is done.
class Device {
  public:
    virtual ~Device() = default;

    virtual sim::Task<> serve(const Io& io) = 0;
    virtual const sim::Station& station() const = 0;
    virtual void begin_window(sim::Time now) = 0;

    /// Parts inside that may limit it; none if the station says it all.
    virtual std::vector<Usage> usage(sim::Time /*now*/) const { return {}; }
};

}  // namespace fusesim::device

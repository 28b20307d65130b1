#pragma once

#include "config/map.h"
#include "device/device.h"
#include "device/token_bucket.h"
#include "sim/engine.h"
#include "sim/random.h"

#include <optional>
#include <string>
#include <vector>

namespace fusesim::device {

using namespace config::literals;

/// Operations of one kind of a volume's budget. Above `rate` the bucket pays, up to `peak`.
struct VirtualDiskIopsConfig {
    config::Rate rate{3000};
    std::uint64_t burst = 1;           ///< operations in the bucket
    std::optional<config::Rate> peak;  ///< while the bucket lasts; absent: no limit
};

struct VirtualDiskBandwidthConfig {
    config::Bandwidth rate{125.0 * 1024 * 1024};
    config::Bytes burst = 1_MiB;
    std::optional<config::Bandwidth> peak;
};

struct VirtualDiskConfig {
    VirtualDiskIopsConfig iops;
    VirtualDiskBandwidthConfig bandwidth;
    config::Bytes io_size = 256_KiB;  ///< a request counts as one operation for each of these
    bool merge = true;  ///< a request that continues the last one shares its operation
    sim::Distribution read_latency = sim::Distribution::constant(sim::Time());
    sim::Distribution write_latency = sim::Distribution::constant(sim::Time());
    sim::Distribution flush_latency = sim::Distribution::constant(sim::Time());
};

void bind(config::Map& map, VirtualDiskIopsConfig& iops);
void bind(config::Map& map, VirtualDiskBandwidthConfig& bandwidth);
void bind(config::Map& map, VirtualDiskConfig& config);

/// A volume of a cloud: whatever stores it, the provider counts operations and bytes. A request
/// waits until both budgets have its tokens, in order of arrival, then takes a latency of its own.
class VirtualDisk : public Device {
  public:
    VirtualDisk(sim::Engine& engine,
                std::string name,
                const VirtualDiskConfig& config,
                std::uint64_t seed);

    sim::Task<> serve(const Io& io) override;

    const sim::Station& station() const override { return station_; }

    void begin_window(sim::Time now) override;

    std::vector<Usage> usage(sim::Time now) const override;

  private:
    /// One budget: a bucket, and one that limits the pace at which the first may be emptied.
    struct Budget {
        Budget(std::int64_t per_second, std::int64_t burst, std::optional<std::int64_t> peak);

        sim::Time ready(sim::Time now, std::int64_t tokens) const;
        void take(sim::Time now, std::int64_t tokens);

        std::int64_t rate;
        std::int64_t piece;  // the most tokens that can be taken at once
        TokenBucket bucket;
        std::optional<TokenBucket> pace;
        std::int64_t taken = 0;  // in the window
    };

    std::int64_t operations(const Io& io);
    sim::Time admit(std::int64_t operations, std::int64_t bytes);

    sim::Engine& engine_;
    VirtualDiskConfig config_;
    sim::Random random_;
    sim::Station station_;
    Budget iops_;
    Budget bytes_;
    sim::Time last_admitted_;
    sim::Time window_;
    Io last_;
    std::uint64_t merged_bytes_ = 0;  // of the operation that last_ belongs to
};

}  // namespace fusesim::device

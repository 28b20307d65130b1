#include "device/virtual_disk.h"

#include "sim/distribution_format.h"

#include <algorithm>
#include <cmath>

namespace fusesim::device {

using sim::Time;

namespace {

std::int64_t whole(double per_second) {
    return std::llround(per_second);
}

std::optional<std::int64_t> whole(const std::optional<config::Rate>& rate) {
    return rate ? std::optional(whole(rate->per_second)) : std::nullopt;
}

std::optional<std::int64_t> whole(const std::optional<config::Bandwidth>& bandwidth) {
    return bandwidth ? std::optional(whole(bandwidth->bytes_per_second)) : std::nullopt;
}

}  // namespace

void bind(config::Map& map, VirtualDiskIopsConfig& iops) {
    map.field("rate", iops.rate, {1}, {1e9}, "operations a second that the volume always has");
    map.field("burst", iops.burst, 1, 1'000'000'000, "operations that it saves up while idle");
    map.field("peak", iops.peak, {1}, {1e9}, "most a second while saved ones last");
    map.check(
        !iops.peak || iops.peak->per_second >= iops.rate.per_second, "peak", "is below the rate");
}

void bind(config::Map& map, VirtualDiskBandwidthConfig& bandwidth) {
    map.field("rate", bandwidth.rate, {1e3}, {1e12}, "bandwidth that the volume always has");
    map.field("burst", bandwidth.burst, 512_B, 1'048'576_GiB, "bytes that it saves up while idle");
    map.field("peak", bandwidth.peak, {1e3}, {1e12}, "most while saved ones last");
    map.check(
        !bandwidth.peak || bandwidth.peak->bytes_per_second >= bandwidth.rate.bytes_per_second,
        "peak",
        "is below the rate");
}

void bind(config::Map& map, VirtualDiskConfig& config) {
    map.section("iops", config.iops, "budget of operations");
    map.section("bandwidth", config.bandwidth, "budget of bytes");
    map.field("io_size",
              config.io_size,
              512_B,
              1_GiB,
              "a request counts as one operation for each of these that it has or begins");
    map.field("merge",
              config.merge,
              "requests that continue one another share operations of up to io_size");
    map.field("read_latency", config.read_latency, "of a read that was admitted");
    map.field("write_latency", config.write_latency, "of a write");
    map.field("flush_latency", config.flush_latency, "of a flush or trim, which no budget counts");
}

VirtualDisk::Budget::Budget(std::int64_t per_second,
                            std::int64_t burst,
                            std::optional<std::int64_t> peak)
    : rate(per_second), piece(burst), bucket(per_second, burst) {
    if (peak) {
        // A millisecond's worth at once: fine enough to be a pace, coarse enough for any request.
        const std::int64_t pace_size = std::max<std::int64_t>(1, *peak / 1000);
        pace.emplace(*peak, pace_size);
        piece = std::min(piece, pace_size);
    }
}

Time VirtualDisk::Budget::ready(Time now, std::int64_t tokens) const {
    const Time at = bucket.ready(now, tokens);
    return pace ? std::max(at, pace->ready(now, tokens)) : at;
}

void VirtualDisk::Budget::take(Time now, std::int64_t tokens) {
    bucket.take(now, tokens);
    if (pace) {
        pace->take(now, tokens);
    }
    taken += tokens;
}

VirtualDisk::VirtualDisk(sim::Engine& engine,
                         std::string name,
                         const VirtualDiskConfig& config,
                         std::uint64_t seed)
    : engine_(engine),
      config_(config),
      random_(seed, "device." + name),
      station_(std::move(name), 0),
      iops_(whole(config.iops.rate.per_second),
            static_cast<std::int64_t>(config.iops.burst),
            whole(config.iops.peak)),
      bytes_(whole(config.bandwidth.rate.bytes_per_second),
             static_cast<std::int64_t>(config.bandwidth.burst.count),
             whole(config.bandwidth.peak)) {}

/// Operations that the provider counts beyond those that a neighbour has already paid for.
std::int64_t VirtualDisk::operations(const Io& io) {
    const std::uint64_t size = config_.io_size.count;
    const bool continues = config_.merge && io.kind == last_.kind && merged_bytes_ > 0 &&
                           io.offset == last_.offset + last_.bytes;
    const std::uint64_t paid = continues ? (size - merged_bytes_ % size) % size : 0;
    merged_bytes_ = (continues ? merged_bytes_ % size : 0) + io.bytes;
    last_ = io;
    return static_cast<std::int64_t>(io.bytes <= paid ? 0 : (io.bytes - paid + size - 1) / size);
}

/// When the request has all its tokens. Who came before takes its tokens before.
Time VirtualDisk::admit(std::int64_t operations, std::int64_t bytes) {
    Time at = std::max(engine_.now(), last_admitted_);
    while (operations > 0 || bytes > 0) {
        const std::int64_t some_operations = std::min(operations, iops_.piece);
        const std::int64_t some_bytes = std::min(bytes, bytes_.piece);
        at = std::max(iops_.ready(at, some_operations), bytes_.ready(at, some_bytes));
        iops_.take(at, some_operations);
        bytes_.take(at, some_bytes);
        operations -= some_operations;
        bytes -= some_bytes;
    }
    last_admitted_ = at;
    return at;
}

sim::Task<> VirtualDisk::serve(const Io& io) {
    const Time arrived = engine_.now();
    station_.arrive(arrived);
    const bool data = io.kind == Io::Kind::read || io.kind == Io::Kind::write;
    if (data) {
        const Time at = admit(operations(io), io.bytes);
        if (at > arrived) {
            co_await engine_.delay(at - arrived);
        }
    }
    const Time began = engine_.now();
    station_.begin_service(began, arrived);
    const sim::Distribution& latency = io.kind == Io::Kind::read    ? config_.read_latency
                                       : io.kind == Io::Kind::write ? config_.write_latency
                                                                    : config_.flush_latency;
    co_await engine_.delay(latency.draw(random_));
    station_.depart(engine_.now(), arrived, began);
}

void VirtualDisk::begin_window(Time now) {
    station_.begin_window(now);
    iops_.taken = 0;
    bytes_.taken = 0;
    window_ = now;
}

std::vector<Usage> VirtualDisk::usage(Time now) const {
    const double span = (now - window_).seconds();
    const auto share = [span](const Budget& budget) {
        return span > 0
                   ? static_cast<double>(budget.taken) / (static_cast<double>(budget.rate) * span)
                   : 0;
    };
    return {{"iops", share(iops_)}, {"bandwidth", share(bytes_)}};
}

}  // namespace fusesim::device

#pragma once

#include "config/map.h"
#include "device/device.h"
#include "device/places.h"
#include "sim/engine.h"
#include "sim/random.h"

#include <boost/intrusive/set.hpp>

#include <string>
#include <vector>

namespace fusesim::device {

struct RemoteStoreConfig {
    /// From sending a request to its first byte, or for a write from its last byte to the answer.
    sim::Distribution read_latency = sim::Distribution::constant(sim::Time::from_ns(100'000));
    sim::Distribution write_latency = sim::Distribution::constant(sim::Time::from_ns(100'000));
    config::Bandwidth stream{1e9};     ///< of one connection
    config::Bandwidth bandwidth{1e9};  ///< of all together, in each direction
    unsigned connections = 64;         ///< requests under way at the same time
};

void bind(config::Map& map, RemoteStoreConfig& config);

/// Streams that share a bandwidth equally, none faster than a limit of its own (TCP connections on
/// one path, as egalitarian processor sharing).
class SharedPath : private sim::Timer {
  public:
    SharedPath(sim::Engine& engine, double stream_bytes_per_second, double bytes_per_second);

    /// `co_await path.transfer(bytes)`.
    class Transfer;
    Transfer transfer(std::uint64_t bytes);

    std::size_t streams() const { return streams_; }

    /// Bytes carried until now.
    double carried(sim::Time now) const;

  private:
    void fire() override;
    double rate() const;  ///< of each stream, in bytes per picosecond
    void advance();
    void reschedule();

    using Link =
        boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

    /// A stream that is done when each has got `goal` bytes since the path was last empty.
    struct Stream : Link {
        double goal = 0;
        std::uint64_t order = 0;
        sim::Resumable resumable;

        bool operator<(const Stream& other) const {
            return goal != other.goal ? goal < other.goal : order < other.order;
        }
    };

    sim::Engine& engine_;
    double stream_;  // bytes per picosecond
    double total_;
    boost::intrusive::set<Stream, boost::intrusive::constant_time_size<false>> active_;
    std::size_t streams_ = 0;
    double each_ = 0;  // bytes that a stream has got since the path was last empty
    sim::Time since_;
    std::uint64_t order_ = 0;
    double carried_ = 0;
};

class SharedPath::Transfer : private Stream {
  public:
    Transfer(SharedPath& path, std::uint64_t bytes) : path_(path), bytes_(bytes) {}

    bool await_ready() const noexcept { return bytes_ == 0; }
    void await_suspend(std::coroutine_handle<> handle);
    void await_resume() const noexcept {}

  private:
    SharedPath& path_;
    std::uint64_t bytes_;
};

inline SharedPath::Transfer SharedPath::transfer(std::uint64_t bytes) {
    return {*this, bytes};
}

/// An object store, or a file server, at the other end of a network: a limited number of
/// connections, each request with a round trip, data over a shared path.
class RemoteStore : public Device {
  public:
    RemoteStore(sim::Engine& engine,
                std::string name,
                const RemoteStoreConfig& config,
                std::uint64_t seed);

    sim::Task<> serve(const Io& io) override;

    const sim::Station& station() const override { return station_; }

    void begin_window(sim::Time now) override;

    std::vector<Usage> usage(sim::Time now) const override;

  private:
    sim::Engine& engine_;
    RemoteStoreConfig config_;
    sim::Random random_;
    Places connections_;
    sim::Station station_;
    SharedPath down_;
    SharedPath up_;
    sim::Time window_;
    double down_before_ = 0;  // carried before the window
    double up_before_ = 0;
};

}  // namespace fusesim::device

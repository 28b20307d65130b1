#include "device/remote_store.h"

#include "sim/distribution_format.h"

#include <algorithm>
#include <cmath>

namespace fusesim::device {

using sim::Time;

void bind(config::Map& map, RemoteStoreConfig& config) {
    map.field("read_latency", config.read_latency, "from sending a request to its first byte");
    map.field("write_latency", config.write_latency, "from the last byte sent to the answer");
    map.field("stream", config.stream, {1e3}, {1e12}, "bandwidth of one connection");
    map.field("bandwidth", config.bandwidth, {1e3}, {1e12}, "of all together, each direction");
    map.field("connections", config.connections, 1, 1'000'000, "requests under way together");
}

SharedPath::SharedPath(sim::Engine& engine, double stream_bytes_per_second, double bytes_per_second)
    : engine_(engine), stream_(stream_bytes_per_second * 1e-12), total_(bytes_per_second * 1e-12) {}

double SharedPath::rate() const {
    return std::min(stream_, total_ / static_cast<double>(streams_));
}

double SharedPath::carried(Time now) const {
    const auto streams = static_cast<double>(streams_);
    return carried_ +
           (active_.empty() ? 0 : rate() * static_cast<double>((now - since_).ps()) * streams);
}

void SharedPath::advance() {
    const Time now = engine_.now();
    if (!active_.empty()) {
        carried_ = carried(now);
        each_ += rate() * static_cast<double>((now - since_).ps());
    }
    since_ = now;
}

void SharedPath::reschedule() {
    if (active_.empty()) {
        each_ = 0;
        cancel();
        return;
    }
    const double left = std::max(0.0, active_.begin()->goal - each_);
    engine_.schedule(*this, engine_.now() + Time::from_ps(std::llround(left / rate())));
}

/// The first stream is done, and whoever has the same goal with it.
void SharedPath::fire() {
    advance();
    const double goal = active_.begin()->goal;
    each_ = std::max(each_, goal);
    while (!active_.empty() && active_.begin()->goal <= goal) {
        Stream& done = *active_.begin();
        active_.erase(active_.begin());
        --streams_;
        engine_.make_ready(done.resumable);
    }
    reschedule();
}

void SharedPath::Transfer::await_suspend(std::coroutine_handle<> handle) {
    path_.advance();
    goal = path_.each_ + static_cast<double>(bytes_);
    order = path_.order_++;
    resumable.suspend(path_.engine_, handle);
    path_.active_.insert(*this);
    ++path_.streams_;
    path_.reschedule();
}

RemoteStore::RemoteStore(sim::Engine& engine,
                         std::string name,
                         const RemoteStoreConfig& config,
                         std::uint64_t seed)
    : engine_(engine),
      config_(config),
      random_(seed, "device." + name),
      connections_(engine, "a connection of " + name, config.connections),
      station_(std::move(name), config.connections),
      down_(engine, config.stream.bytes_per_second, config.bandwidth.bytes_per_second),
      up_(engine, config.stream.bytes_per_second, config.bandwidth.bytes_per_second) {}

sim::Task<> RemoteStore::serve(const Io& io) {
    const Time arrived = engine_.now();
    station_.arrive(arrived);
    if (io.kind == Io::Kind::flush) {  // what a store has answered is durable
        station_.begin_service(arrived, arrived);
        station_.depart(arrived, arrived, arrived);
        co_return;
    }
    co_await connections_.take();
    const Time began = engine_.now();
    station_.begin_service(began, arrived);
    if (io.kind == Io::Kind::read) {
        co_await engine_.delay(config_.read_latency.draw(random_));
        co_await down_.transfer(io.bytes);
    } else {
        co_await up_.transfer(io.kind == Io::Kind::write ? io.bytes : 0);
        co_await engine_.delay(config_.write_latency.draw(random_));
    }
    station_.depart(engine_.now(), arrived, began);
    connections_.give_back();
}

void RemoteStore::begin_window(Time now) {
    station_.begin_window(now);
    window_ = now;
    down_before_ = down_.carried(now);
    up_before_ = up_.carried(now);
}

std::vector<Usage> RemoteStore::usage(Time now) const {
    const double most = (now - window_).seconds() * config_.bandwidth.bytes_per_second;
    const auto share = [most](double bytes) { return most > 0 ? bytes / most : 0; };
    return {{"download", share(down_.carried(now) - down_before_)},
            {"upload", share(up_.carried(now) - up_before_)}};
}

}  // namespace fusesim::device

#pragma once

#include "device/device.h"
#include "host/cpu.h"
#include "lower/elevator.h"
#include "sim/statistics.h"
#include "sim/wait_queue.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace fusesim::lower {

enum class Scheduler { none, mq_deadline };

struct BlockSettings {
    Scheduler scheduler = Scheduler::none;
    unsigned queue_depth = 32;               ///< requests with the device
    unsigned nr_requests = 256;              ///< requests there may be; who has more waits
    std::uint32_t most_bytes = 1280u << 10;  ///< of one request (max_sectors_kb)
};

/// The way to a device: requests are held back in plugs, merged, put in order and given to the
/// device, `queue_depth` of them at the same time (models the multi-queue block layer).
class BlockQueue {
  public:
    BlockQueue(host::Cpu& cpu, device::Device& device, const BlockSettings& settings);

    /// Requests of one caller that are held back until it has no more, so that they can be merged
    /// (models struct blk_plug). Finish it before the caller waits for any of them.
    class Plug {
      public:
        Plug(BlockQueue& queue, host::Thread& thread) : queue_(queue), thread_(thread) {}

        ~Plug() { finish(); }

        Plug(const Plug&) = delete;
        Plug& operator=(const Plug&) = delete;

        void add(Bio& bio);
        void finish();

      private:
        BlockQueue& queue_;
        host::Thread& thread_;
        std::vector<BlockRequest*> requests_;
    };

    /// Hands over one bio; the caller is charged for the request.
    void add(host::Thread& thread, Bio& bio);

    bool full() const { return alive_ >= settings_.nr_requests; }

    /// Sleeps until there is room for more requests.
    sim::Task<> wait_for_room(host::Thread& thread);

    const sim::Station& station() const { return station_; }

    void begin_window(sim::Time now) { station_.begin_window(now); }

    void check(sim::Time now) const { station_.check(now); }

    device::Device& device() { return device_; }

  private:
    /// Holds one request while the device has it.
    struct Slot {
        explicit Slot(sim::Engine& engine) : work(engine, "a request to the device") {}

        sim::WaitQueue work;
        BlockRequest* request = nullptr;
    };

    BlockRequest& new_request(host::Thread& thread, Bio& bio);
    void insert(BlockRequest& request);
    BlockRequest* next();
    void dispatch();
    void give(Slot& slot, BlockRequest& request);
    sim::Task<> serve(Slot& slot);

    sim::Time now() const { return cpu_.engine().now(); }

    host::Cpu& cpu_;
    device::Device& device_;
    BlockSettings settings_;
    std::unique_ptr<Elevator> elevator_;
    NoElevator flushes_;  // pass all others by
    std::vector<std::unique_ptr<Slot>> slots_;
    std::vector<Slot*> idle_;
    std::vector<std::unique_ptr<BlockRequest>> requests_;
    std::vector<BlockRequest*> free_requests_;
    unsigned alive_ = 0;  // requests that have not ended
    sim::WaitQueue room_;
    sim::Station station_;
};

}  // namespace fusesim::lower

#pragma once

#include "device/device.h"
#include "sim/time.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>

namespace fusesim::lower {

/// What a file system wants of a device: neighbouring bytes, one way. Whoever owns it is told of
/// the end (models struct bio).
class Bio {
  public:
    device::Io io;

    virtual void ended() = 0;

  protected:
    ~Bio() = default;

  private:
    friend class BlockQueue;
    friend struct BlockRequest;

    Bio* next_ = nullptr;  // of the same request
};

/// One command to the device, made of bios that lie next to each other (models struct request).
struct BlockRequest {
    device::Io io;
    Bio* first = nullptr;
    Bio* last = nullptr;
    sim::Time arrived;

    std::uint64_t end() const { return io.offset + io.bytes; }

    bool back_merges(const Bio& bio, std::uint32_t most) const;
    bool front_merges(const Bio& bio, std::uint32_t most) const;
    void add_back(Bio& bio);
    void add_front(Bio& bio);
};

/// In which order requests go to the device.
class Elevator {
  public:
    virtual ~Elevator() = default;

    /// Adds the bio to a request that waits; false if none fits.
    virtual bool merge(Bio& bio, std::uint32_t most_bytes) = 0;
    virtual void add(BlockRequest& request) = 0;
    /// Null if nothing waits.
    virtual BlockRequest* next(sim::Time now) = 0;
};

/// In order of arrival (`none`).
class NoElevator final : public Elevator {
  public:
    bool merge(Bio&, std::uint32_t) override { return false; }

    void add(BlockRequest& request) override { requests_.push_back(&request); }

    BlockRequest* next(sim::Time now) override;

  private:
    std::deque<BlockRequest*> requests_;
};

/// Models block/mq-deadline.c: batches in order of place, reads first, and nobody waits for ever.
class Deadline final : public Elevator {
  public:
    struct Tunables {  // block/mq-deadline.c
        sim::Time read_expire = sim::Time::from_ns(500'000'000);
        sim::Time write_expire = sim::Time::from_ns(5'000'000'000);
        unsigned fifo_batch = 16;
        unsigned writes_starved = 2;
    };

    Deadline() = default;

    explicit Deadline(const Tunables& tunables) : tunables_(tunables) {}

    bool merge(Bio& bio, std::uint32_t most_bytes) override;
    void add(BlockRequest& request) override;
    BlockRequest* next(sim::Time now) override;

  private:
    struct Waiting;
    using Fifo = std::list<Waiting>;
    using Sorted = std::multimap<std::uint64_t, Fifo::iterator>;

    struct Waiting {
        BlockRequest* request;
        sim::Time deadline;
        Sorted::iterator place;
    };

    struct Direction {
        Fifo fifo;
        Sorted sorted;
        std::uint64_t last_end = 0;  // where the last one of this direction ended
    };

    Direction& direction_of(const device::Io& io) {
        return directions_[io.kind == device::Io::Kind::read ? 0 : 1];
    }

    BlockRequest* take(Direction& direction, Fifo::iterator waiting);

    Tunables tunables_;
    Direction directions_[2];  // reads, writes
    Direction* batch_ = nullptr;
    unsigned in_batch_ = 0;
    unsigned starved_ = 0;
};

}  // namespace fusesim::lower

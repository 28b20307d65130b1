#pragma once

#include "config/map.h"
#include "config/units.h"
#include "device/device.h"
#include "sim/engine.h"
#include "sim/random.h"

#include <cstdint>
#include <string>
#include <vector>

namespace fusesim::device {

/// A module of persistent memory.
struct PmemConfig {
    config::Bytes capacity{std::uint64_t{128} << 30};
    config::Bytes line{256};  ///< what the medium reads and writes at once

    config::Bytes buffer{16u << 10};              ///< lines kept (read-modify-write buffer)
    config::Bytes translation_buffer{16u << 20};  ///< reach of the addresses kept
    config::Bytes translation_page{4096};
    sim::Time read = sim::Time::from_ns(176);  ///< of a line that is in the buffer
    sim::Time read_medium = sim::Time::from_ns(125);
    sim::Time read_translation = sim::Time::from_ns(74);
    sim::Time read_again = sim::Time::from_ns(26);
    config::Bandwidth read_bandwidth{6.6e9};
    unsigned loads = 10;

    config::Bytes write_queue{3840};
    sim::Time write_medium = sim::Time::from_ns(110);
    sim::Time write_again = sim::Time::from_ns(187);
    sim::Time store = sim::Time::from_ns(4);

    sim::Time request;  ///< overhead of a request to the block device
};

void bind(config::Map& map, PmemConfig& config);

/// Which of the blocks of an address space are kept: sets of up to 16, a random one goes.
class PmemCache {
  public:
    PmemCache(std::uint64_t reach, std::uint64_t block);

    /// Whether the block was kept; it is from now on.
    bool touch(std::uint64_t block, sim::Random& random);

  private:
    std::uint64_t sets_;
    std::uint64_t ways_;
    std::vector<std::uint64_t> blocks_;
};

/// Persistent memory, as a block device and byte by byte (DAX). Loads wait for the medium unless
/// the module's buffer has the line; stores are done when the module's queue has them, which
/// combines those to the same line.
class Pmem : public Device {
  public:
    Pmem(sim::Engine& engine, std::string name, const PmemConfig& config, std::uint64_t seed);

    sim::Task<> serve(const Io& io) override;

    const sim::Station& station() const override { return station_; }

    void begin_window(sim::Time now) override;

    /// When a thread that loads these bytes at `now`, and waits for them, goes on. Calls come in
    /// the order of time.
    sim::Time load(sim::Time now, std::uint64_t offset, std::uint64_t bytes);

    /// The same for non-temporal stores with a fence behind them: they are durable then.
    sim::Time store(sim::Time now, std::uint64_t offset, std::uint64_t bytes);

  private:
    static constexpr std::uint64_t word_bytes = 64;  // a cache line of the processor

    /// A place in the module's queue: words of one line, stored together.
    struct Slot {
        std::uint64_t line = 0;
        std::uint64_t words = 0;  // a bit each
        std::uint32_t count = 0;
        sim::Time since;
        sim::Time free = sim::Time::max();  // written by then; max(): it waits
    };

    void check(std::uint64_t offset, std::uint64_t bytes) const;
    sim::Time store_line(sim::Time now, std::uint64_t line, std::uint64_t words);
    sim::Time store_long(sim::Time now, std::uint64_t lines);
    void catch_up(sim::Time now);
    bool write_next(sim::Time until);

    Slot& slot(std::size_t index) { return slots_[(first_ + index) & (slots_.size() - 1)]; }

    sim::Engine& engine_;
    PmemConfig config_;
    std::uint64_t words_per_line_;
    std::uint64_t queue_words_;
    sim::Time read_line_;  // the medium's share of each line
    sim::Random random_;
    PmemCache buffer_;
    PmemCache translation_;
    sim::Time reads_free_;
    std::uint64_t last_word_ = UINT64_MAX;  // loaded

    // The queue is a ring: a place is free again when all before it are. Its size is a power of 2.
    std::vector<Slot> slots_;
    std::size_t first_ = 0;
    std::size_t used_ = 0;
    std::size_t written_ = 0;  // of the used ones, those at the front that do not wait
    std::uint64_t words_ = 0;  // in all used ones
    sim::Time writes_free_;
    std::uint64_t line_in_hand_ = UINT64_MAX;  // being written, or written last,
    std::uint64_t words_in_hand_ = 0;
    sim::Time again_;  // and when it may be stored to again

    sim::Station station_;
    sim::Time window_;
    sim::Time last_departure_;
};

}  // namespace fusesim::device

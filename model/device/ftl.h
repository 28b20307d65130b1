#pragma once

#include "device/flash_layout.h"

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace fusesim::device {

/// What the flash of a drive did since the last reset of the counters.
struct FlashCounters {
    std::uint64_t host_units = 0;     ///< written by the host
    std::uint64_t padding_units = 0;  ///< programmed empty, because a flush could not wait
    std::uint64_t moved_units = 0;    ///< moved by garbage collection
    std::uint64_t evicted_units = 0;  ///< moved from the SLC cache
    std::uint64_t erases = 0;

    /// Units programmed for each unit of the host.
    double write_amplification() const;
};

/// A page-mapped flash translation layer: which unit lies where, which blocks are free, what
/// garbage collection moves. Knows no time; a drive asks it what to do and spends the time.
///
/// Each die collects its own blocks, greedily: always the one with the least valid data. Host data
/// and moved data go to blocks of their own. 32 bits a unit, allocated where the drive is written;
/// what preconditioning left is computed.
class Ftl {
  public:
    using Unit = FlashLayout::Unit;

    /// Place of a unit. Units of one die with the same row are read together.
    struct Place {
        std::uint32_t die = 0;
        bool slc = false;
        std::uint64_t row = 0;
    };

    /// One step of moving data: reads `rows_read` rows, programs one row with `units` units, then
    /// erases `erased` blocks; either may be nothing.
    struct Move {
        unsigned units = 0;
        unsigned rows_read = 0;
        unsigned erased = 0;
    };

    Ftl(const FlashShape& shape,
        std::uint64_t units,
        Precondition precondition,
        std::uint64_t seed);

    std::uint64_t units() const { return units_; }

    /// False if the unit was never written, or trimmed.
    bool find(Unit unit, Place& place) const;

    /// A find() or write() of the unit follows soon: the mapping of a large drive is in no cache.
    void prefetch(Unit unit) const {
        if (const auto& chunk = mapping_[unit >> chunk_bits]) {
            __builtin_prefetch(&chunk[unit & ((1u << chunk_bits) - 1)]);
        }
    }

    /// Whether the die can take a row of host data now.
    bool accepts(std::uint32_t die) const;

    /// Writes up to a row of units to the die; true if it went to the SLC cache.
    bool write(std::uint32_t die, const Unit* units, unsigned count);

    void trim(Unit first, std::uint64_t count);

    /// Few blocks are free: garbage collection must keep pace with the host.
    bool low(std::uint32_t die) const { return dies_[die].free.size() <= 2; }

    /// The host must wait for collection: the last free block is for what it moves.
    bool exhausted(std::uint32_t die) const {
        return dies_[die].host_block == none && dies_[die].free.size() <= 1;
    }

    /// The pace: rows that collection has to move for each row of the host, as a fraction, which is
    /// that of valid to invalid units in the block that comes next.
    struct Pace {
        std::uint32_t valid = 0;
        std::uint32_t invalid = 1;
    };

    Pace pace(std::uint32_t die) const;

    /// Moves up to a row of valid data out of the block that has the least.
    Move collect(std::uint32_t die);

    /// Moves up to a row out of the SLC cache; nothing if it holds none or there is no room.
    Move evict(std::uint32_t die);

    const FlashCounters& counters() const { return counters_; }

    void reset_counters() { counters_ = {}; }

    /// Every unit lies in one slot of a block that knows it; every block has as much valid data as
    /// units lie in it. Throws std::logic_error otherwise. Takes time.
    void check() const;

    /// Bytes that mapping and reverse mapping take in this process.
    std::uint64_t memory() const;

  private:
    static constexpr std::uint32_t none = 0xffffffff;
    // Entries of the mapping: as preconditioning left it, trimmed, or place + 2.
    static constexpr std::uint32_t initial = 0;
    static constexpr std::uint32_t trimmed = 1;
    static constexpr unsigned chunk_bits = 14;

    enum class State : std::uint8_t { free, open, closed, victim };

    struct Block {
        std::uint32_t valid = 0;
        std::uint32_t written = 0;  ///< units, padding included
        std::uint32_t previous = none;
        std::uint32_t next = none;
        State state = State::free;
        bool initial = false;  ///< holds what preconditioning left
        /// Unit of each slot, none if invalid. Of an initial block one bit a unit, set if invalid.
        std::unique_ptr<std::uint32_t[]> owner;
    };

    /// A block that is being emptied, and how far.
    struct Victim {
        std::uint32_t block = none;
        std::uint32_t scanned = 0;
    };

    struct Die {
        std::vector<std::uint32_t> free;
        std::vector<std::uint32_t> free_slc;
        std::deque<std::uint32_t> slc_blocks;  ///< in use, oldest first
        std::uint32_t host_block = none;
        std::uint32_t slc_block = none;
        std::uint32_t move_block = none;
        Victim victim;
        Victim slc_victim;
        std::uint64_t valid = 0;  ///< units outside the SLC cache
        /// Heads of the lists of closed blocks by valid units.
        std::vector<std::uint32_t> by_valid;
        std::uint32_t least = 0;  ///< no shorter list has a block
    };

    bool is_slc(std::uint32_t block) const { return block / shape_.dies >= shape_.blocks; }

    std::uint32_t block_units(std::uint32_t block) const {
        return is_slc(block) ? shape_.slc_block_units() : shape_.block_units();
    }

    std::uint32_t entry(Unit unit) const {
        const auto& chunk = mapping_[unit >> chunk_bits];
        return chunk ? chunk[unit & ((1u << chunk_bits) - 1)] : initial;
    }

    std::uint32_t& writable_entry(Unit unit);
    void invalidate(Unit unit, std::uint32_t at);
    void drop_initial(Unit unit);
    void drop_one(std::uint32_t number);
    void prefetch_owner(Unit unit) const;
    static std::size_t bitmap_words(std::uint32_t units) { return (units + 31) / 32; }
    void place(std::uint32_t& open,
               std::uint32_t die,
               std::vector<std::uint32_t>& free,
               const Unit* units,
               unsigned count);
    void open_block(std::uint32_t& open, std::uint32_t die, std::vector<std::uint32_t>& free);
    void close(std::uint32_t number);
    void link(std::uint32_t number);
    void unlink(std::uint32_t number);
    void erase(std::uint32_t number);
    std::uint32_t next_victim(Die& die);
    std::uint32_t next_slc_victim(Die& die);
    unsigned scan(Victim& victim, Unit* units, unsigned room, unsigned& rows_read);
    /// Fills one row, from one victim after another, so that no row is padded between two.
    template <class Next>
    Move move(std::uint32_t die, Victim& victim, Next next, std::uint64_t& moved);
    std::uint64_t most_valid() const;

    FlashShape shape_;
    std::uint64_t units_;
    FlashLayout layout_;
    unsigned slot_bits_;
    std::vector<std::unique_ptr<std::uint32_t[]>> mapping_;
    std::vector<Block> blocks_;  // block b of die d is number b * dies + d
    std::vector<Die> dies_;
    using Owners = std::vector<std::unique_ptr<std::uint32_t[]>>;
    std::array<Owners, 2> spare_owners_;  // 1: of SLC blocks
    std::vector<Unit> row_;               // being moved
    FlashCounters counters_;
};

}  // namespace fusesim::device

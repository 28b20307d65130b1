#pragma once

#include <cstdint>
#include <vector>

namespace fusesim::device {

/// The flash of a drive as its translation layer sees it. All planes of a die work as one: a row is
/// one page of every plane, a block is one block of every plane. A unit is what the mapping maps.
struct FlashShape {
    unsigned dies = 1;
    unsigned blocks = 1;      ///< of a die, without those of the SLC cache
    unsigned rows = 1;        ///< of a block
    unsigned row_units = 1;   ///< units in a row
    unsigned slc_blocks = 0;  ///< of a die, written with one bit per cell
    unsigned slc_rows = 0;    ///< of such a block

    std::uint32_t block_units() const { return rows * row_units; }

    std::uint32_t slc_block_units() const { return slc_rows * row_units; }

    /// Blocks that a die keeps off the host's data: two that are being written, two that are free.
    static constexpr unsigned spare_blocks = 4;

    /// Why `units` of data cannot be kept on this flash; null if they can.
    const char* complaint(std::uint64_t units) const;
};

/// What a drive held before the simulation.
enum class Precondition {
    fresh,   ///< nothing
    filled,  ///< every unit, written once in order
    steady   ///< every unit, overwritten at random until garbage collection was in balance
};

/// Share of valid data in the block that greedy garbage collection picks, under uniform random
/// writes on flash of which the share `use` holds data: the solution v < 1 of 1 - v = -use ln v,
/// which is v = -use W(-exp(-1 / use) / use) with Lambert's W (Xiang and Kurkoski,
/// arXiv:1110.4245). Each unit that the host writes costs 1 / (1 - v) units of flash.
double greedy_victim_share(double use);

/// Where the data of a preconditioned drive lies, computed instead of stored: a drive of any size
/// is in its steady state at once. Blocks of a steady drive hold as much valid data as the balance
/// of greedy collection leaves: a block that is emptied at v decays to it from full at the same
/// rate for each unit, so its content at a random time is v^p of a block with p uniform in [0, 1].
class FlashLayout {
  public:
    using Unit = std::uint32_t;

    struct Slot {
        std::uint32_t die = 0;
        std::uint32_t block = 0;  ///< of the die
        std::uint32_t k = 0;      ///< how many units lie before it in the block
    };

    FlashLayout(const FlashShape& shape,
                std::uint64_t units,
                Precondition precondition,
                std::uint64_t seed);

    bool empty() const { return precondition_ == Precondition::fresh; }

    /// Blocks in use of each die: 0 .. blocks() - 1.
    std::uint32_t blocks() const { return blocks_; }

    /// Units in a block at the start.
    std::uint32_t valid(std::uint32_t die, std::uint32_t block) const;

    /// Place of a unit. Not for fresh drives.
    Slot find(Unit unit) const;

    /// Die of a unit and a number that units read together have in common; cheaper than find().
    std::uint32_t die_of(Unit unit, std::uint32_t& group) const;

    /// The unit that was k-th of valid() in a block.
    Unit unit_at(std::uint32_t die, std::uint32_t block, std::uint32_t k) const;

    /// The row it was in.
    std::uint32_t row_at(std::uint32_t die, std::uint32_t block, std::uint32_t k) const;

  private:
    void fill_steady(std::uint64_t seed);
    std::uint32_t scatter(std::uint32_t unit) const;
    std::uint32_t gather(std::uint32_t rank) const;
    std::uint32_t mix(std::uint32_t half, unsigned round) const;

    FlashShape shape_;
    std::uint32_t units_;
    Precondition precondition_;
    std::uint32_t blocks_ = 0;
    // Steady: units have ranks in random order; die d holds ranks d, d + dies, ..., of which its
    // block b has those numbered first_[d][b] .. first_[d][b + 1] - 1.
    std::vector<std::vector<std::uint32_t>> first_;
    unsigned half_bits_ = 1;
    std::uint64_t keys_[4] = {};
};

}  // namespace fusesim::device

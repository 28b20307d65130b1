#include "device/flash_layout.h"

#include "sim/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace fusesim::device {

const char* FlashShape::complaint(std::uint64_t units) const {
    const std::uint64_t die_units =
        blocks > spare_blocks ? std::uint64_t{blocks - spare_blocks} * block_units() : 0;
    // A row a die is left, so that some die can always take one.
    if (units == 0 || units + std::uint64_t{dies} * row_units > dies * die_units) {
        return "does not fit on the flash with four blocks of each die to spare";
    }
    const std::uint64_t most = std::bit_ceil(std::max(block_units(), slc_block_units()));
    if ((std::uint64_t{blocks} + slc_blocks) * dies * most >= 0xfffffff0) {
        return "is more than 32-bit addresses of units reach";
    }
    return nullptr;
}

double greedy_victim_share(double use) {
    // g(v) = 1 - v + use ln v is negative at 0, positive below its maximum's right side at v = use
    // and zero at 1: the wanted root lies in (0, use).
    double low = 0;
    double high = use;
    for (int i = 0; i < 100; ++i) {
        const double middle = (low + high) / 2;
        (1 - middle + use * std::log(middle) < 0 ? low : high) = middle;
    }
    return low;
}

FlashLayout::FlashLayout(const FlashShape& shape,
                         std::uint64_t units,
                         Precondition precondition,
                         std::uint64_t seed)
    : shape_(shape), units_(static_cast<std::uint32_t>(units)), precondition_(precondition) {
    if (precondition == Precondition::filled) {
        const std::uint64_t die_units = std::uint64_t{shape.dies} * shape.block_units();
        blocks_ = static_cast<std::uint32_t>((units + die_units - 1) / die_units);
    } else if (precondition == Precondition::steady) {
        blocks_ = shape.blocks - FlashShape::spare_blocks;
        fill_steady(seed);
    }
}

void FlashLayout::fill_steady(std::uint64_t seed) {
    sim::Random random(seed, "device.precondition");
    for (std::uint64_t& key : keys_) {
        key = random.bits();
    }
    half_bits_ = (static_cast<unsigned>(std::bit_width(units_ - 1)) + 1) / 2;
    const std::uint32_t full = shape_.block_units();
    for (std::uint32_t die = 0; die < shape_.dies; ++die) {
        const std::uint32_t wanted = (units_ - die + shape_.dies - 1) / shape_.dies;
        const double use = static_cast<double>(wanted) / full / blocks_;
        const double victim = greedy_victim_share(use);
        std::vector<std::uint32_t> valid(blocks_);
        std::int64_t missing = wanted;
        for (std::uint32_t b = 0; b < blocks_; ++b) {
            const double share = std::pow(victim, (b + 0.5) / blocks_);
            valid[b] = static_cast<std::uint32_t>(share * full);
            missing -= valid[b];
        }
        // Rounding left a few too many or too few; a full block cannot take more.
        for (std::uint32_t b = 0; missing != 0; b = (b + 1) % blocks_) {
            if (missing > 0 && valid[b] < full) {
                ++valid[b];
                --missing;
            } else if (missing < 0 && valid[b] > 0) {
                --valid[b];
                ++missing;
            }
        }
        for (std::uint32_t b = blocks_ - 1; b > 0; --b) {
            std::swap(valid[b], valid[random.below(b + 1)]);
        }
        std::vector<std::uint32_t>& first = first_.emplace_back(blocks_ + 1);
        for (std::uint32_t b = 0; b < blocks_; ++b) {
            first[b + 1] = first[b] + valid[b];
        }
    }
}

std::uint32_t FlashLayout::mix(std::uint32_t half, unsigned round) const {
    std::uint64_t x = (half ^ keys_[round]) * 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return static_cast<std::uint32_t>(x >> 32) & ((1u << half_bits_) - 1);
}

// A Feistel network is a permutation of all numbers of 2 * half_bits_ bits; walking on until the
// result is a unit again makes it one of the units.
std::uint32_t FlashLayout::scatter(std::uint32_t unit) const {
    const std::uint32_t mask = (1u << half_bits_) - 1;
    do {
        std::uint32_t left = unit >> half_bits_;
        std::uint32_t right = unit & mask;
        for (unsigned round = 0; round < 4; ++round) {
            left ^= mix(right, round);
            std::swap(left, right);
        }
        unit = left << half_bits_ | right;
    } while (unit >= units_);
    return unit;
}

std::uint32_t FlashLayout::gather(std::uint32_t rank) const {
    const std::uint32_t mask = (1u << half_bits_) - 1;
    do {
        std::uint32_t left = rank >> half_bits_;
        std::uint32_t right = rank & mask;
        for (unsigned round = 4; round-- > 0;) {
            std::swap(left, right);
            left ^= mix(right, round);
        }
        rank = left << half_bits_ | right;
    } while (rank >= units_);
    return rank;
}

std::uint32_t FlashLayout::valid(std::uint32_t die, std::uint32_t block) const {
    if (precondition_ == Precondition::steady) {
        return first_[die][block + 1] - first_[die][block];
    }
    std::uint32_t count = 0;
    for (std::uint32_t r = 0; r < shape_.rows; ++r) {
        const std::uint64_t row =
            (std::uint64_t{block} * shape_.rows + r) * shape_.dies + die;  // of the drive
        const std::uint64_t from = row * shape_.row_units;
        if (from >= units_) {
            break;
        }
        count +=
            static_cast<std::uint32_t>(std::min<std::uint64_t>(shape_.row_units, units_ - from));
    }
    return count;
}

std::uint32_t FlashLayout::die_of(Unit unit, std::uint32_t& group) const {
    const std::uint32_t place =
        precondition_ == Precondition::filled ? unit / shape_.row_units : scatter(unit);
    group = place / shape_.dies;
    return place % shape_.dies;
}

FlashLayout::Slot FlashLayout::find(Unit unit) const {
    Slot slot;
    std::uint32_t group = 0;
    slot.die = die_of(unit, group);
    if (precondition_ == Precondition::filled) {
        slot.block = group / shape_.rows;
        slot.k = group % shape_.rows * shape_.row_units + unit % shape_.row_units;
        return slot;
    }
    const std::vector<std::uint32_t>& first = first_[slot.die];
    const auto above = std::upper_bound(first.begin(), first.end(), group);
    slot.block = static_cast<std::uint32_t>(above - first.begin() - 1);
    slot.k = group - first[slot.block];
    return slot;
}

FlashLayout::Unit FlashLayout::unit_at(std::uint32_t die,
                                       std::uint32_t block,
                                       std::uint32_t k) const {
    if (precondition_ == Precondition::steady) {
        return gather((first_[die][block] + k) * shape_.dies + die);
    }
    const std::uint32_t row = block * shape_.rows + k / shape_.row_units;
    return (row * shape_.dies + die) * shape_.row_units + k % shape_.row_units;
}

std::uint32_t FlashLayout::row_at(std::uint32_t die, std::uint32_t block, std::uint32_t k) const {
    if (precondition_ == Precondition::filled) {
        return k / shape_.row_units;
    }
    // What is left of a block lies evenly over its rows.
    return static_cast<std::uint32_t>(std::uint64_t{k} * shape_.rows /
                                      std::max(1u, valid(die, block)));
}

}  // namespace fusesim::device

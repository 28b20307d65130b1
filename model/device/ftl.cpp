#include "device/ftl.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>

namespace fusesim::device {

namespace {

const FlashShape& checked(const FlashShape& shape, std::uint64_t units) {
    if (const char* complaint = shape.complaint(units)) {
        throw std::invalid_argument(complaint);
    }
    return shape;
}

}  // namespace

double FlashCounters::write_amplification() const {
    const std::uint64_t all = host_units + padding_units + moved_units + evicted_units;
    return host_units > 0 ? static_cast<double>(all) / static_cast<double>(host_units) : 1;
}

Ftl::Ftl(const FlashShape& shape,
         std::uint64_t units,
         Precondition precondition,
         std::uint64_t seed)
    : shape_(checked(shape, units)), units_(units), layout_(shape, units, precondition, seed) {
    const std::uint32_t most = std::max(shape.block_units(), shape.slc_block_units());
    slot_bits_ = static_cast<unsigned>(std::bit_width(most - 1));
    const std::uint64_t all_blocks =
        std::uint64_t{shape.dies} * (std::uint64_t{shape.blocks} + shape.slc_blocks);
    mapping_.resize((units >> chunk_bits) + 1);
    blocks_.resize(all_blocks);
    dies_.resize(shape.dies);
    row_.resize(shape.row_units);
    for (std::uint32_t d = 0; d < shape.dies; ++d) {
        Die& die = dies_[d];
        die.by_valid.assign(shape.block_units() + 1, none);
        die.least = shape.block_units() + 1;
        // The next to be written is at the back.
        for (std::uint32_t b = shape.blocks; b-- > 0;) {
            const std::uint32_t number = b * shape.dies + d;
            if (b >= layout_.blocks()) {
                die.free.push_back(number);
                continue;
            }
            Block& block = blocks_[number];
            block.initial = true;
            block.valid = layout_.valid(d, b);
            block.written = block.valid;
            die.valid += block.valid;
            close(number);
        }
        for (std::uint32_t b = shape.slc_blocks; b-- > 0;) {
            die.free_slc.push_back((shape.blocks + b) * shape.dies + d);
        }
    }
}

std::uint32_t& Ftl::writable_entry(Unit unit) {
    auto& chunk = mapping_[unit >> chunk_bits];
    if (!chunk) {
        chunk = std::make_unique<std::uint32_t[]>(std::size_t{1} << chunk_bits);
    }
    return chunk[unit & ((1u << chunk_bits) - 1)];
}

bool Ftl::find(Unit unit, Place& place) const {
    const std::uint32_t at = entry(unit);
    if (at == trimmed || (at == initial && layout_.empty())) {
        return false;
    }
    if (at == initial) {
        std::uint32_t group = 0;
        place.die = layout_.die_of(unit, group);
        place.row = group | std::uint64_t{1} << 32;  // never that of a row written since
        place.slc = false;
        return true;
    }
    const std::uint32_t block = (at - 2) >> slot_bits_;
    place.die = block % shape_.dies;
    place.row = std::uint64_t{block} * shape_.rows +
                ((at - 2) & ((1u << slot_bits_) - 1)) / shape_.row_units;
    place.slc = is_slc(block);
    return true;
}

bool Ftl::accepts(std::uint32_t d) const {
    const Die& die = dies_[d];
    if (die.slc_block != none || !die.free_slc.empty()) {
        return true;
    }
    return die.valid + shape_.row_units <= most_valid() && !exhausted(d);
}

/// Up to here some closed block of a die always has something invalid: what else is neither valid
/// nor free fits into the blocks that are being written.
std::uint64_t Ftl::most_valid() const {
    return std::uint64_t{shape_.blocks - FlashShape::spare_blocks} * shape_.block_units();
}

bool Ftl::write(std::uint32_t d, const Unit* units, unsigned count) {
    Die& die = dies_[d];
    counters_.host_units += count;
    counters_.padding_units += shape_.row_units - count;
    const bool slc = die.slc_block != none || !die.free_slc.empty();
    if (slc) {
        place(die.slc_block, d, die.free_slc, units, count);
    } else {
        place(die.host_block, d, die.free, units, count);
    }
    return slc;
}

void Ftl::trim(Unit first, std::uint64_t count) {
    if (count == units_) {
        const FlashCounters counters = counters_;
        *this = Ftl(shape_, units_, Precondition::fresh, 0);
        counters_ = counters;
        return;
    }
    for (std::uint64_t unit = first; unit < first + count; ++unit) {
        if (layout_.empty() && !mapping_[unit >> chunk_bits]) {
            unit |= (1u << chunk_bits) - 1;  // nothing was ever written here
            continue;
        }
        std::uint32_t& at = writable_entry(static_cast<Unit>(unit));
        if (at != trimmed) {
            invalidate(static_cast<Unit>(unit), at);
            at = trimmed;
        }
    }
}

void Ftl::invalidate(Unit unit, std::uint32_t at) {
    if (at == trimmed) {
        return;
    }
    if (at == initial) {
        if (!layout_.empty()) {
            drop_initial(unit);
        }
        return;
    }
    const std::uint32_t block = (at - 2) >> slot_bits_;
    blocks_[block].owner[(at - 2) & ((1u << slot_bits_) - 1)] = none;
    drop_one(block);
}

void Ftl::drop_initial(Unit unit) {
    const FlashLayout::Slot slot = layout_.find(unit);
    const std::uint32_t number = slot.block * shape_.dies + slot.die;
    Block& block = blocks_[number];
    if (!block.owner) {
        block.owner = std::make_unique<std::uint32_t[]>(bitmap_words(block.written));
    }
    block.owner[slot.k / 32] |= 1u << slot.k % 32;
    drop_one(number);
}

void Ftl::drop_one(std::uint32_t number) {
    Block& block = blocks_[number];
    if (is_slc(number)) {
        --block.valid;
        return;
    }
    --dies_[number % shape_.dies].valid;
    if (block.state != State::closed) {
        --block.valid;
        return;
    }
    unlink(number);
    --block.valid;
    link(number);
}

void Ftl::place(std::uint32_t& open,
                std::uint32_t die,
                std::vector<std::uint32_t>& free,
                const Unit* units,
                unsigned count) {
    if (open == none) {
        open_block(open, die, free);
    }
    const std::uint32_t number = open;
    Block& block = blocks_[number];
    const std::uint32_t from = block.written;
    for (unsigned i = 0; i < count; ++i) {
        prefetch_owner(units[i]);
    }
    for (unsigned i = 0; i < count; ++i) {
        std::uint32_t& at = writable_entry(units[i]);
        invalidate(units[i], at);
        at = (number << slot_bits_ | (from + i)) + 2;
        block.owner[from + i] = units[i];
    }
    std::fill_n(block.owner.get() + from + count, shape_.row_units - count, none);
    block.valid += count;
    block.written += shape_.row_units;
    if (!is_slc(number)) {
        dies_[die].valid += count;
    }
    if (block.written == block_units(number)) {
        open = none;
        close(number);
    }
}

/// Where a unit that is about to move will be struck out.
void Ftl::prefetch_owner(Unit unit) const {
    const std::uint32_t at = entry(unit);
    if (at > trimmed) {
        const Block& block = blocks_[(at - 2) >> slot_bits_];
        __builtin_prefetch(block.owner.get() + ((at - 2) & ((1u << slot_bits_) - 1)), 1);
    }
}

void Ftl::open_block(std::uint32_t& open, std::uint32_t die, std::vector<std::uint32_t>& free) {
    if (free.empty()) {
        throw std::logic_error("a die of an SSD has no free block");
    }
    open = free.back();
    free.pop_back();
    Block& block = blocks_[open];
    block.state = State::open;
    const bool slc = is_slc(open);
    auto& spare = spare_owners_[slc ? 1 : 0];
    if (spare.empty()) {
        block.owner = std::make_unique<std::uint32_t[]>(block_units(open));
    } else {
        block.owner = std::move(spare.back());
        spare.pop_back();
    }
    if (slc) {
        dies_[die].slc_blocks.push_back(open);
    }
}

void Ftl::close(std::uint32_t number) {
    blocks_[number].state = State::closed;
    if (!is_slc(number)) {
        link(number);
    }
}

void Ftl::link(std::uint32_t number) {
    Block& block = blocks_[number];
    Die& die = dies_[number % shape_.dies];
    std::uint32_t& head = die.by_valid[block.valid];
    block.previous = none;
    block.next = head;
    if (head != none) {
        blocks_[head].previous = number;
    }
    head = number;
    die.least = std::min(die.least, block.valid);
}

void Ftl::unlink(std::uint32_t number) {
    const Block& block = blocks_[number];
    if (block.next != none) {
        blocks_[block.next].previous = block.previous;
    }
    if (block.previous != none) {
        blocks_[block.previous].next = block.next;
    } else {
        dies_[number % shape_.dies].by_valid[block.valid] = block.next;
    }
}

void Ftl::erase(std::uint32_t number) {
    Block& block = blocks_[number];
    Die& die = dies_[number % shape_.dies];
    const bool slc = is_slc(number);
    if (block.owner && !block.initial) {
        spare_owners_[slc ? 1 : 0].push_back(std::move(block.owner));
    }
    block = Block{};
    (slc ? die.free_slc : die.free).push_back(number);
    ++counters_.erases;
}

std::uint32_t Ftl::next_victim(Die& die) {
    while (die.least < shape_.block_units() && die.by_valid[die.least] == none) {
        ++die.least;
    }
    if (die.least >= shape_.block_units()) {
        return none;  // all closed blocks hold valid data only
    }
    const std::uint32_t number = die.by_valid[die.least];
    unlink(number);
    blocks_[number].state = State::victim;
    return number;
}

std::uint32_t Ftl::next_slc_victim(Die& die) {
    if (die.slc_blocks.empty() || blocks_[die.slc_blocks.front()].state != State::closed) {
        return none;
    }
    const std::uint32_t number = die.slc_blocks.front();
    die.slc_blocks.pop_front();
    blocks_[number].state = State::victim;
    return number;
}

Ftl::Pace Ftl::pace(std::uint32_t d) const {
    const Die& die = dies_[d];
    std::uint32_t least = die.least;
    while (least < shape_.block_units() && die.by_valid[least] == none) {
        ++least;
    }
    return least < shape_.block_units() ? Pace{least, shape_.block_units() - least} : Pace{};
}

/// Takes valid units of the victim, in their order, at most `room` of them.
unsigned Ftl::scan(Victim& victim, Unit* units, unsigned room, unsigned& rows_read) {
    const Block& block = blocks_[victim.block];
    const std::uint32_t die = victim.block % shape_.dies;
    const std::uint32_t in_die = victim.block / shape_.dies;
    unsigned found = 0;
    std::uint32_t last_row = none;
    while (found < room && victim.scanned < block.written) {
        const std::uint32_t k = victim.scanned++;
        if (block.initial ? block.owner && (block.owner[k / 32] >> k % 32 & 1) != 0
                          : block.owner[k] == none) {
            continue;
        }
        const Unit unit = block.initial ? layout_.unit_at(die, in_die, k) : block.owner[k];
        prefetch(unit);
        units[found++] = unit;
        const std::uint32_t row =
            block.initial ? layout_.row_at(die, in_die, k) : k / shape_.row_units;
        rows_read += row != last_row ? 1 : 0;
        last_row = row;
    }
    return found;
}

template <class Next>
Ftl::Move Ftl::move(std::uint32_t d, Victim& victim, Next next, std::uint64_t& moved) {
    Die& die = dies_[d];
    Move result;
    std::array<std::uint32_t, 8> emptied{};
    while (result.units < shape_.row_units && result.erased < emptied.size()) {
        if (victim.block == none) {
            victim = {next(die), 0};
            if (victim.block == none) {
                break;
            }
        }
        const std::uint32_t left = blocks_[victim.block].valid;
        const std::uint32_t room = shape_.row_units - result.units;
        const unsigned found =
            scan(victim, row_.data() + result.units, std::min(room, left), result.rows_read);
        result.units += found;
        if (found == left) {
            emptied[result.erased++] = victim.block;
            victim = {};
            if (result.units == 0) {
                break;  // nothing to program: the block can be erased at once
            }
        }
    }
    if (result.units > 0) {
        place(die.move_block, d, die.free, row_.data(), result.units);
        moved += result.units;
        counters_.padding_units += shape_.row_units - result.units;
    }
    for (unsigned i = 0; i < result.erased; ++i) {
        erase(emptied[i]);
    }
    return result;
}

Ftl::Move Ftl::collect(std::uint32_t d) {
    return move(
        d, dies_[d].victim, [this](Die& die) { return next_victim(die); }, counters_.moved_units);
}

Ftl::Move Ftl::evict(std::uint32_t d) {
    if (dies_[d].valid + shape_.row_units > most_valid() || low(d)) {
        return {};
    }
    return move(
        d,
        dies_[d].slc_victim,
        [this](Die& die) { return next_slc_victim(die); },
        counters_.evicted_units);
}

void Ftl::check() const {
    std::vector<std::uint32_t> valid(blocks_.size());
    for (std::uint64_t u = 0; u < units_; ++u) {
        const auto unit = static_cast<Unit>(u);
        const std::uint32_t at = entry(unit);
        if (at == trimmed || (at == initial && layout_.empty())) {
            continue;
        }
        if (at == initial) {
            const FlashLayout::Slot slot = layout_.find(unit);
            ++valid[slot.block * shape_.dies + slot.die];
            continue;
        }
        const std::uint32_t block = (at - 2) >> slot_bits_;
        const std::uint32_t slot = (at - 2) & ((1u << slot_bits_) - 1);
        if (slot >= blocks_[block].written || blocks_[block].owner[slot] != unit) {
            throw std::logic_error(fmt::format("unit {} is not where the mapping has it", unit));
        }
        ++valid[block];
    }
    for (std::uint32_t b = 0; b < blocks_.size(); ++b) {
        if (valid[b] != blocks_[b].valid) {
            throw std::logic_error(fmt::format(
                "block {} holds {} valid units and counts {}", b, valid[b], blocks_[b].valid));
        }
    }
}

std::uint64_t Ftl::memory() const {
    std::uint64_t bytes = mapping_.size() * sizeof(mapping_[0]) + blocks_.size() * sizeof(Block);
    for (const auto& chunk : mapping_) {
        bytes += chunk ? sizeof(std::uint32_t) << chunk_bits : 0;
    }
    for (std::uint32_t b = 0; b < blocks_.size(); ++b) {
        const Block& block = blocks_[b];
        const std::size_t words =
            block.initial ? bitmap_words(block.written) : std::size_t{block_units(b)};
        bytes += block.owner ? sizeof(std::uint32_t) * words : 0;
    }
    bytes += sizeof(std::uint32_t) * (spare_owners_[0].size() * shape_.block_units() +
                                      spare_owners_[1].size() * shape_.slc_block_units());
    return bytes;
}

}  // namespace fusesim::device

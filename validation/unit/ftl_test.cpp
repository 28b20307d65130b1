#include "device/ftl.h"

#include "device/write_buffer.h"
#include "sim/random.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

using namespace fusesim;
using device::FlashLayout;
using device::FlashShape;
using device::Ftl;
using device::Precondition;
using device::WriteBuffer;

namespace {

FlashShape small_shape() {
    FlashShape shape;
    shape.dies = 3;
    shape.blocks = 40;
    shape.rows = 8;
    shape.row_units = 4;
    return shape;
}

/// A row of host data on the next die that takes it; collects where it must.
void write_row(Ftl& ftl,
               const FlashShape& shape,
               std::uint32_t& die,
               const std::vector<Ftl::Unit>& units) {
    for (unsigned tried = 0;; ++tried) {
        REQUIRE(tried < 10 * shape.dies);
        die = (die + 1) % shape.dies;
        while (ftl.exhausted(die)) {
            ftl.collect(die);
        }
        if (ftl.accepts(die)) {
            break;
        }
    }
    ftl.write(die, units.data(), static_cast<unsigned>(units.size()));
}

}  // namespace

TEST_CASE("a preconditioned layout puts each unit in one place and finds it there", "[ftl]") {
    const FlashShape shape = small_shape();
    const auto precondition = GENERATE(Precondition::filled, Precondition::steady);
    for (const std::uint64_t units : {3000u, 3001u, 3397u}) {
        const FlashLayout layout(shape, units, precondition, 1);
        std::set<FlashLayout::Unit> seen;
        for (std::uint32_t die = 0; die < shape.dies; ++die) {
            for (std::uint32_t block = 0; block < layout.blocks(); ++block) {
                REQUIRE(layout.valid(die, block) <= shape.block_units());
                for (std::uint32_t k = 0; k < layout.valid(die, block); ++k) {
                    const FlashLayout::Unit unit = layout.unit_at(die, block, k);
                    REQUIRE(unit < units);
                    REQUIRE(seen.insert(unit).second);
                    const FlashLayout::Slot slot = layout.find(unit);
                    REQUIRE(slot.die == die);
                    REQUIRE(slot.block == block);
                    REQUIRE(slot.k == k);
                    REQUIRE(layout.row_at(die, block, k) < shape.rows);
                }
            }
        }
        CHECK(seen.size() == units);
    }
}

TEST_CASE("data that was written in order is read a row at a time, die after die", "[ftl]") {
    const FlashShape shape = small_shape();
    Ftl ftl(shape, 3000, Precondition::filled, 1);
    Ftl::Place first;
    Ftl::Place place;
    REQUIRE(ftl.find(0, first));
    CHECK(first.die == 0);
    REQUIRE(ftl.find(3, place));
    CHECK(place.row == first.row);
    REQUIRE(ftl.find(4, place));
    CHECK(place.die == 1);
    REQUIRE(ftl.find(12, place));
    CHECK(place.die == 0);
    CHECK(place.row != first.row);
}

TEST_CASE("the translation layer keeps every unit through writes, trims and moves", "[ftl]") {
    FlashShape shape = small_shape();
    const bool slc = GENERATE(false, true);
    const auto precondition =
        GENERATE(Precondition::fresh, Precondition::filled, Precondition::steady);
    if (slc) {
        shape.slc_blocks = 3;
        shape.slc_rows = 3;
    }
    const std::uint64_t units = 3400;  // of 3840, with 4 blocks a die to spare: nearly full
    Ftl ftl(shape, units, precondition, 7);
    std::vector<bool> mapped(units, precondition != Precondition::fresh);
    sim::Random random(3, "ftl");
    std::uint32_t die = 0;
    for (int step = 0; step < 30'000; ++step) {
        const std::uint64_t action = random.below(100);
        if (action < 2) {
            const auto first = static_cast<Ftl::Unit>(random.below(units));
            const std::uint64_t count =
                random.below(std::min<std::uint64_t>(64, units - first)) + 1;
            ftl.trim(first, count);
            std::fill_n(mapped.begin() + first, count, false);
        } else if (action < 7) {
            ftl.evict(static_cast<std::uint32_t>(random.below(shape.dies)));
        } else {
            std::set<Ftl::Unit> row;
            const std::uint64_t count = random.below(shape.row_units) + 1;
            while (row.size() < count) {
                row.insert(static_cast<Ftl::Unit>(random.below(units)));
            }
            write_row(ftl, shape, die, {row.begin(), row.end()});
            for (const Ftl::Unit unit : row) {
                mapped[unit] = true;
            }
        }
        if (step % 500 == 0) {
            REQUIRE_NOTHROW(ftl.check());
        }
    }
    ftl.check();
    for (std::uint64_t unit = 0; unit < units; ++unit) {
        Ftl::Place place;
        REQUIRE(ftl.find(static_cast<Ftl::Unit>(unit), place) == mapped[unit]);
        REQUIRE((!mapped[unit] || place.die < shape.dies));
        REQUIRE((slc || !place.slc));
    }
    CHECK(ftl.counters().erases > 0);
    CHECK(ftl.counters().moved_units > 0);
    CHECK((ftl.counters().evicted_units > 0) == slc);
}

TEST_CASE("a drive of which everything is trimmed is a fresh one", "[ftl]") {
    const FlashShape shape = small_shape();
    Ftl ftl(shape, 3000, Precondition::steady, 1);
    std::uint32_t die = 0;
    write_row(ftl, shape, die, {1, 2, 3, 4});
    ftl.trim(0, 3000);
    Ftl::Place place;
    CHECK_FALSE(ftl.find(1, place));
    CHECK_FALSE(ftl.find(2999, place));
    ftl.check();
    CHECK(ftl.counters().host_units == 4);
}

TEST_CASE("sequential overwriting moves nothing", "[ftl]") {
    const FlashShape shape = small_shape();
    Ftl ftl(shape, 3000, Precondition::filled, 1);
    std::uint32_t die = shape.dies - 1;
    for (int pass = 0; pass < 5; ++pass) {
        for (std::uint32_t unit = 0; unit < 3000; unit += 4) {
            write_row(ftl, shape, die, {unit, unit + 1, unit + 2, unit + 3});
        }
    }
    CHECK(ftl.counters().moved_units == 0);
    CHECK(ftl.counters().write_amplification() == 1);
}

TEST_CASE("a terabyte that nobody touched takes little memory, whatever it held", "[ftl]") {
    FlashShape shape;
    shape.dies = 32;
    shape.blocks = 700;
    shape.rows = 1536;
    shape.row_units = 8;
    const auto precondition =
        GENERATE(Precondition::fresh, Precondition::filled, Precondition::steady);
    Ftl ftl(shape, 244'190'646, precondition, 1);
    CHECK(ftl.memory() < 4u << 20);
    Ftl::Place place;
    CHECK(ftl.find(244'190'645, place) == (precondition != Precondition::fresh));
    // A gigabyte written in order: four bytes a unit each way, in whole chunks and blocks, and
    // where it lay scattered over a steady drive a bit for each unit of the drive.
    std::uint32_t die = 0;
    for (std::uint32_t unit = 0; unit < 1u << 18; unit += 8) {
        write_row(ftl,
                  shape,
                  die,
                  {unit, unit + 1, unit + 2, unit + 3, unit + 4, unit + 5, unit + 6, unit + 7});
    }
    CHECK(ftl.memory() < (precondition == Precondition::steady ? 40u : 8u) << 20);
}

TEST_CASE("flash that is too small or too large for its addresses is refused", "[ftl]") {
    FlashShape shape = small_shape();
    CHECK(shape.complaint(3400) == nullptr);
    CHECK(shape.complaint(3456) != nullptr);
    CHECK(shape.complaint(0) != nullptr);
    CHECK_THROWS_AS(Ftl(shape, 3456, Precondition::fresh, 1), std::invalid_argument);
    shape.blocks = 1u << 31;
    CHECK(shape.complaint(3400) != nullptr);
}

TEST_CASE("the write buffer gives units out in order of arrival, each once", "[write_buffer]") {
    WriteBuffer buffer(4);
    buffer.reserve(4);
    CHECK(buffer.room() == 0);
    for (const WriteBuffer::Unit unit : {7u, 8u, 7u, 9u}) {
        buffer.insert(unit, nullptr);
    }
    CHECK(buffer.pending() == 3);
    CHECK(buffer.room() == 1);
    CHECK(buffer.holds(8));
    CHECK_FALSE(buffer.holds(6));
    WriteBuffer::Unit units[4] = {};
    WriteBuffer::Index head = WriteBuffer::none;
    REQUIRE(buffer.take(units, 2, head) == 2);
    CHECK(units[0] == 7);
    CHECK(units[1] == 8);
    CHECK(buffer.holds(7));
    // Written again while the old data is on its way: the buffer holds both.
    buffer.reserve(1);
    buffer.insert(7, nullptr);
    CHECK(buffer.room() == 0);
    device::SsdCommand* durable = nullptr;
    head = buffer.release(head, durable);
    CHECK(buffer.holds(7));
    buffer.release(head, durable);
    CHECK_FALSE(buffer.holds(8));
    CHECK(buffer.room() == 2);
}

TEST_CASE("a flush covers what was written before it, not what comes after", "[write_buffer]") {
    WriteBuffer buffer(8);
    CHECK(buffer.done(buffer.flush()));
    buffer.reserve(3);
    buffer.insert(1, nullptr);
    buffer.insert(2, nullptr);
    const std::uint64_t ticket = buffer.flush();
    CHECK(buffer.urgent() == 2);
    buffer.insert(3, nullptr);
    WriteBuffer::Unit units[8] = {};
    WriteBuffer::Index head = WriteBuffer::none;
    buffer.take(units, 8, head);
    device::SsdCommand* durable = nullptr;
    head = buffer.release(head, durable);
    CHECK_FALSE(buffer.done(ticket));
    head = buffer.release(head, durable);
    CHECK(buffer.done(ticket));
    const std::uint64_t later = buffer.flush();
    CHECK_FALSE(buffer.done(later));
    buffer.release(head, durable);
    CHECK(buffer.done(later));
}

TEST_CASE("trimmed units leave the buffer without going to flash", "[write_buffer]") {
    WriteBuffer buffer(8);
    buffer.reserve(4);
    for (const WriteBuffer::Unit unit : {1u, 2u, 3u, 4u}) {
        buffer.insert(unit, nullptr);
    }
    const bool wide = GENERATE(false, true);
    buffer.drop(2, wide ? 1000 : 2);
    WriteBuffer::Unit units[8] = {};
    WriteBuffer::Index head = WriteBuffer::none;
    const unsigned taken = buffer.take(units, 8, head);
    CHECK(taken == (wide ? 1 : 2));
    CHECK(units[0] == 1);
    CHECK(buffer.room() == 8 - taken);
    CHECK_FALSE(buffer.holds(2));
}

TEST_CASE("the write buffer agrees with a plain list through a long random run", "[write_buffer]") {
    WriteBuffer buffer(64);
    struct Copy {
        WriteBuffer::Unit unit;
        int version;
    };
    struct Row {
        WriteBuffer::Index head = WriteBuffer::none;
        std::vector<Copy> copies;
    };
    std::vector<Copy> pending;
    std::vector<Row> rows;
    std::map<WriteBuffer::Unit, int> latest;  // version that is in the buffer
    int versions = 0;
    sim::Random random(5, "buffer");
    for (int step = 0; step < 200'000; ++step) {
        const std::uint64_t action = random.below(4);
        if (action < 2 && buffer.room() > 0) {
            const auto unit = static_cast<WriteBuffer::Unit>(random.below(200));
            buffer.reserve(1);
            buffer.insert(unit, nullptr);
            if (std::none_of(pending.begin(), pending.end(), [unit](const Copy& copy) {
                    return copy.unit == unit;
                })) {
                pending.push_back({unit, ++versions});
                latest[unit] = versions;
            }
        } else if (action == 2) {
            Row& row = rows.emplace_back();
            WriteBuffer::Unit units[8] = {};
            const unsigned most = static_cast<unsigned>(random.below(8)) + 1;
            const unsigned count = buffer.take(units, most, row.head);
            REQUIRE(count == std::min<std::size_t>(most, pending.size()));
            row.copies.assign(pending.begin(), pending.begin() + count);
            pending.erase(pending.begin(), pending.begin() + count);
            for (unsigned i = 0; i < count; ++i) {
                REQUIRE(units[i] == row.copies[i].unit);
            }
        } else if (!rows.empty()) {
            const auto row = rows.begin() + static_cast<std::ptrdiff_t>(random.below(rows.size()));
            for (const Copy& copy : row->copies) {
                device::SsdCommand* durable = nullptr;
                row->head = buffer.release(row->head, durable);
                const auto at = latest.find(copy.unit);
                if (at != latest.end() && at->second == copy.version) {
                    latest.erase(at);
                }
            }
            rows.erase(row);
        }
        const auto probe = static_cast<WriteBuffer::Unit>(random.below(200));
        REQUIRE(buffer.holds(probe) == (latest.count(probe) > 0));
    }
}

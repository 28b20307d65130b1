#include "host/memory.h"

#include <catch2/catch.hpp>

using namespace fusesim;
using namespace fusesim::sim::literals;

namespace {

host::SizeCost row(std::uint64_t bytes, sim::Time time) {
    return {config::Bytes{bytes}, time};
}

}  // namespace

TEST_CASE("memory costs what was measured for as much data, and no more beyond the last row") {
    host::Memory memory({row(1000, 0_ns), row(3000, 200_ns)}, {row(1000, 0_ns), row(3000, 100_ns)});
    CHECK(memory.pages(4) == 0_ns);  // no data is in use yet
    memory.grow(2000);
    CHECK(memory.pages(1) == 100_ns);
    CHECK(memory.pages(4) == 250_ns);
    CHECK(memory.pages(4, 0.5) == 175_ns);
    CHECK(memory.pages(0) == 0_ns);
    memory.grow(7000);
    CHECK(memory.pages(2) == 300_ns);
}

TEST_CASE("data is recent until as much other data has passed as the caches hold") {
    host::Memory memory({row(1000, 0_ns), row(3000, 200_ns)}, {});
    const std::uint64_t then = memory.pass(500);
    CHECK(memory.is_recent(then));
    memory.pass(999);
    CHECK(memory.is_recent(then));
    memory.pass(1);
    CHECK_FALSE(memory.is_recent(then));
}

TEST_CASE("without measured rows memory costs nothing") {
    host::Memory memory({}, {});
    memory.grow(1u << 30);
    memory.pass(1u << 30);
    CHECK(memory.pages(32) == 0_ns);
    CHECK(memory.is_recent(0));
}

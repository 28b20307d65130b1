#include "device/pmem.h"

#include "sim/random.h"
#include "support/device_parts.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

// Intel Optane PMEM 100: nanoseconds a 64-byte line of a pointer chase, by region, as measured for
// and distributed with VANS (University of California, San Diego; MIT licence).

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Io;
using device::Pmem;
using device::PmemConfig;
using sim::Task;
using sim::Time;

namespace {

struct Measured {
    std::uint64_t region;
    double ns;
};

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;
constexpr std::uint64_t GiB = 1024 * MiB;

constexpr Measured reads[] = {{64, 203},
                              {256, 184},
                              {4 * KiB, 175},
                              {16 * KiB, 181},
                              {64 * KiB, 276},
                              {1 * MiB, 310},
                              {16 * MiB, 313},
                              {32 * MiB, 344},
                              {128 * MiB, 375},
                              {1 * GiB, 378}};

constexpr Measured writes[] = {{64, 187},
                               {256, 51},
                               {1 * KiB, 28},
                               {4 * KiB, 29},
                               {8 * KiB, 43},
                               {16 * KiB, 60},
                               {64 * KiB, 95},
                               {128 * KiB, 102},
                               {1 * MiB, 110},
                               {16 * MiB, 110}};

PmemConfig optane() {
    return validation::ready_part<PmemConfig>("optane-pmem-100.yaml");
}

/// The lines of a region in random order, again and again. Of a large region some millions.
class Chase {
  public:
    explicit Chase(std::uint64_t region) : random_(1, "chase"), lines_(region / 64) {
        if (lines_ <= (std::uint64_t{1} << 20)) {
            order_.resize(lines_);
            std::iota(order_.begin(), order_.end(), std::uint64_t{0});
            for (std::size_t i = order_.size(); i > 1; --i) {
                std::swap(order_[i - 1], order_[random_.below(i)]);
            }
        }
    }

    std::uint64_t next() {
        const std::uint64_t line =
            order_.empty() ? random_.below(lines_) : order_[at_++ % order_.size()];
        return line * 64;
    }

    /// Steps after which every line has been visited, or the caches are full.
    std::uint64_t once() const { return std::max<std::uint64_t>(order_.size(), 1u << 18); }

  private:
    sim::Random random_;
    std::uint64_t lines_;
    std::vector<std::uint64_t> order_;
    std::size_t at_ = 0;
};

template <class Access>
double mean_ns(std::uint64_t region, Access access) {
    Chase chase(region);
    Time now;
    Time from;
    const std::uint64_t steps = 2 * chase.once();
    for (std::uint64_t i = 0; i < steps; ++i) {
        if (i == steps / 2) {
            from = now;
        }
        now = access(now, chase.next());
    }
    return (now - from).seconds() * 1e9 / static_cast<double>(steps - steps / 2);
}

double read_ns(std::uint64_t region) {
    validation::Simulation sim;
    Pmem pmem(sim.engine, "pmem", optane(), 1);
    return mean_ns(region, [&](Time now, std::uint64_t at) { return pmem.load(now, at, 64); });
}

double write_ns(std::uint64_t region) {
    validation::Simulation sim;
    Pmem pmem(sim.engine, "pmem", optane(), 1);
    return mean_ns(region, [&](Time now, std::uint64_t at) { return pmem.store(now, at, 64); });
}

}  // namespace

TEST_CASE("Optane: loads take what was measured, at every region size", "[pmem]") {
    for (const Measured& one : reads) {
        INFO(one.region << " bytes");
        CHECK(read_ns(one.region) == Approx(one.ns).epsilon(0.1));
    }
}

TEST_CASE("Optane: stores take what was measured, at every region size", "[pmem]") {
    for (const Measured& one : writes) {
        INFO(one.region << " bytes");
        CHECK(write_ns(one.region) == Approx(one.ns).epsilon(0.1));
    }
}

TEST_CASE("Optane: the steps are where the buffers end", "[pmem]") {
    // The read-modify-write buffer: flat up to 16 KiB, up at once behind it.
    CHECK(read_ns(16 * KiB) < 1.05 * read_ns(4 * KiB));
    CHECK(read_ns(64 * KiB) > 1.4 * read_ns(16 * KiB));
    // The address-translation buffer: the same at 16 MiB.
    CHECK(read_ns(16 * MiB) < 1.03 * read_ns(1 * MiB));
    CHECK(read_ns(64 * MiB) > 1.15 * read_ns(16 * MiB));
    CHECK(read_ns(1 * GiB) < 1.03 * read_ns(128 * MiB));
}

namespace {

Task<> stream(Pmem& pmem, Io::Kind kind, std::uint64_t from, std::uint32_t bytes, int count) {
    for (int i = 0; i < count; ++i) {
        Io io;
        io.kind = kind;
        io.offset = from + static_cast<std::uint64_t>(i) * bytes;
        io.bytes = bytes;
        co_await pmem.serve(io);
    }
}

double gb_per_s(Io::Kind kind, unsigned threads, std::uint32_t bytes) {
    validation::Simulation sim;
    Pmem pmem(sim.engine, "pmem", optane(), 1);
    const int count = static_cast<int>((16u << 20) / bytes);
    for (unsigned i = 0; i < threads; ++i) {
        sim.engine.spawn("thread", stream(pmem, kind, i * GiB, bytes, count));
    }
    sim.engine.run();
    pmem.station().check(sim.engine.now());
    return 1e-9 * threads * count * bytes / sim.engine.now().seconds();
}

}  // namespace

TEST_CASE("Optane: bandwidth of one module, asymmetric, as published", "[pmem]") {
    // Izraelevitz and others, "Basic Performance Measurements of the Intel Optane DC Persistent
    // Memory Module" (2019): 6.6 GB/s read, 2.3 GB/s write. The first is an input; the second
    // follows from the time of a line.
    CHECK(gb_per_s(Io::Kind::read, 8, 65'536) == Approx(6.6).epsilon(0.05));
    CHECK(gb_per_s(Io::Kind::write, 1, 65'536) == Approx(2.3).epsilon(0.05));
    CHECK(gb_per_s(Io::Kind::write, 8, 65'536) == Approx(2.3).epsilon(0.05));
    // One thread is held back by what it has under way: ten cache lines.
    CHECK(gb_per_s(Io::Kind::read, 1, 65'536) < 3);
}

#include "device/ssd.h"

#include "support/device_parts.h"
#include "support/simulation.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

// Write amplification against the closed form, and the ready parts against their data sheets.
// `test_analytic '[table]' -s` prints the tables of model/device/README.md.

using namespace fusesim;
using namespace fusesim::sim::literals;
using namespace fusesim::config::literals;
using device::FlashShape;
using device::Ftl;
using device::Io;
using device::Precondition;
using device::Ssd;
using device::SsdConfig;
using sim::Time;

namespace {

/// Units programmed for each unit written at random, by the closed form. `spare` is the flash that
/// is beyond the data, in units of the data.
double closed_form(double spare) {
    return 1 / (1 - device::greedy_victim_share(1 / (1 + spare)));
}

struct Load {
    Io::Kind kind = Io::Kind::read;
    bool random = true;
    std::uint32_t bytes = 4096;
    unsigned clients = 32;
    std::uint64_t span = 0;  ///< bytes; 0 is the whole drive
    std::uint64_t requests = 100'000;
};

struct Clients {
    std::uint64_t issued = 0;
    std::uint64_t limit = 0;
    std::uint64_t next = 0;
};

sim::Task<> client(Ssd& ssd, const Load& load, Clients& all, unsigned id, sim::Random& random) {
    const std::uint64_t span = load.span > 0 ? load.span : ssd.config().capacity.count;
    const std::uint64_t places = span / load.bytes;
    while (all.issued < all.limit) {
        ++all.issued;
        Io io;
        io.kind = load.kind;
        io.stream = static_cast<std::uint16_t>(id);
        io.bytes = load.bytes;
        io.offset = (load.random ? random.below(places) : all.next++ % places) * load.bytes;
        co_await ssd.serve(io);
    }
}

sim::Task<> fill(Ssd& ssd, std::uint64_t bytes) {
    for (Io io{.kind = Io::Kind::write, .bytes = 128 << 10}; io.offset < bytes;
         io.offset += io.bytes) {
        co_await ssd.serve(io);
    }
    co_await ssd.serve({.kind = Io::Kind::flush});
}

sim::Task<> run_load(
    sim::Engine& engine, Ssd& ssd, const Load& load, bool fill_first, double& rate) {
    if (fill_first) {
        co_await fill(ssd, load.span);
    }
    sim::Random random(1, "load");
    Clients all;
    int running = 0;
    sim::WaitQueue done(engine, "clients");
    const auto start = [&](std::uint64_t requests) {
        all.limit += requests;
        for (unsigned i = 0; i < load.clients; ++i) {
            ++running;
            engine.spawn("client", [](auto task, int& count, sim::WaitQueue& last) -> sim::Task<> {
                co_await std::move(task);
                if (--count == 0) {
                    last.wake_one();
                }
            }(client(ssd, load, all, i, random), running, done));
        }
    };
    start(load.requests / 4);
    co_await done.sleep();
    ssd.begin_window(engine.now());
    const Time began = engine.now();
    start(load.requests);
    co_await done.sleep();
    rate = static_cast<double>(load.requests) / (engine.now() - began).seconds();
}

/// Requests a second.
double rate_of(const std::string& part,
               const std::vector<std::string>& overrides,
               const Load& load,
               bool fill_first = false) {
    validation::Simulation sim;
    Ssd ssd(sim.engine, "ssd", validation::ready_part<SsdConfig>(part, overrides), 1);
    double rate = 0;
    sim.engine.spawn("load", run_load(sim.engine, ssd, load, fill_first, rate));
    sim.engine.run();
    ssd.station().check(sim.engine.now());
    return rate;
}

}  // namespace

TEST_CASE("the closed form has the values that were published for it", "[analytic][ssd]") {
    // Xiang and Kurkoski, "An Improved Analytic Expression for Write Amplification in NAND Flash".
    CHECK(closed_form(0.3) == Approx(2.36).epsilon(0.005));
    const double v = device::greedy_victim_share(0.8);
    CHECK(1 - v == Approx(-0.8 * std::log(v)));
}

TEST_CASE("write amplification of greedy collection follows the closed form", "[analytic][ssd]") {
    const auto precondition = GENERATE(Precondition::filled, Precondition::steady);
    for (const double spare : {0.07, 0.15, 0.3, 0.5}) {
        SsdConfig config;
        config.flash.channels = 2;
        config.flash.dies = 2;
        config.flash.planes = 1;
        config.flash.blocks = 512;
        config.flash.pages = 64;
        config.precondition = precondition;
        config.write_buffer = 128_KiB;
        config.link.write = {1e12};
        config.flash.program = 1_us;
        config.flash.erase = 1_us;
        config.flash.read = 1_us;
        config.flash.channel = {1e12};
        // Of each die one block is free and two are half full, on average.
        const FlashShape shape = config.shape();
        const double flash = shape.dies * (shape.blocks - 2.5) * shape.block_units();
        const auto units = static_cast<std::uint64_t>(flash / (1 + spare));
        config.capacity = {units * 4096};
        validation::Simulation sim;
        Ssd ssd(sim.engine, "ssd", config, 1);
        Load load;
        load.kind = Io::Kind::write;
        // From the first pass over all data to the balance takes a few more.
        load.requests = precondition == Precondition::steady ? units : 4 * units;
        double rate = 0;
        sim.engine.spawn("load", run_load(sim.engine, ssd, load, false, rate));
        sim.engine.run();
        const double found = ssd.counters().write_amplification();
        INFO("spare factor " << spare);
        CHECK(found == Approx(closed_form(spare)).epsilon(0.05));
        CHECK_NOTHROW(ssd.ftl().check());
        UNSCOPED_INFO(fmt::format("write amplification {:5.2f} {:.3f} {:.3f} {:+.1f} %",
                                  spare,
                                  found,
                                  closed_form(spare),
                                  (found / closed_form(spare) - 1) * 100));
        CHECK(found > 1);
    }
}

namespace {

struct Peak {
    const char* name;
    const char* part;
    Load load;
    bool fill_first;
    double published;  // requests a second; bytes if sequential
};

constexpr std::uint64_t gib = 1u << 30;
constexpr std::uint32_t large = 128 << 10;
constexpr auto reads = Io::Kind::read;
constexpr auto writes = Io::Kind::write;

const std::vector<Peak> peaks = {
    {"X25-M random read", "intel-x25m.yaml", {reads, true, 4096, 32}, false, 35'000},
    {"X25-M random write", "intel-x25m.yaml", {writes, true, 4096, 32, 8 * gib}, false, 8'600},
    {"X25-M sequential read",
     "intel-x25m.yaml",
     {reads, false, large, 32, 0, 20'000},
     false,
     250e6},
    {"X25-M sequential write",
     "intel-x25m.yaml",
     {writes, false, large, 32, 0, 20'000},
     false,
     100e6},
    {"850 EVO random read", "samsung-850-evo.yaml", {reads, true, 4096, 32}, false, 97'000},
    {"850 EVO random write", "samsung-850-evo.yaml", {writes, true, 4096, 32}, false, 88'000},
    {"850 EVO sequential read",
     "samsung-850-evo.yaml",
     {reads, false, large, 32, 0, 20'000},
     false,
     540e6},
    {"850 EVO sequential write",
     "samsung-850-evo.yaml",
     {writes, false, large, 32, 0, 16'000},
     false,
     520e6},
    {"980 PRO random read", "nvme-pcie4.yaml", {reads, true, 4096, 512, gib, 400'000}, true, 1e6},
    {"980 PRO random write",
     "nvme-pcie4.yaml",
     {writes, true, 4096, 512, 8 * gib, 800'000},
     false,
     1e6},
    {"980 PRO sequential read",
     "nvme-pcie4.yaml",
     {reads, false, large, 32, gib, 40'000},
     true,
     7e9},
    {"980 PRO sequential write",
     "nvme-pcie4.yaml",
     {writes, false, large, 32, 0, 80'000},
     false,
     5e9},
};

const std::vector<Peak> fast17 = {
    {"random read 4 KiB", "fast17-ssd.yaml", {reads, true, 4096, 32}, false, 23'501},
    {"random read 32 KiB", "fast17-ssd.yaml", {reads, true, 32768, 32, 0, 20'000}, false, 4026},
    {"random read 128 KiB", "fast17-ssd.yaml", {reads, true, large, 32, 0, 20'000}, false, 1060},
    {"random write 4 KiB", "fast17-ssd.yaml", {writes, true, 4096, 32, 60 * gib}, false, 15'604},
    {"random write 32 KiB",
     "fast17-ssd.yaml",
     {writes, true, 32768, 32, 60 * gib, 20'000},
     false,
     3949},
    {"random write 128 KiB",
     "fast17-ssd.yaml",
     {writes, true, large, 32, 60 * gib, 20'000},
     false,
     1009},
};

}  // namespace

namespace {

void check_rates(const std::vector<Peak>& rates) {
    for (const Peak& peak : rates) {
        const double rate =
            rate_of(peak.part, {"precondition=filled"}, peak.load, peak.fill_first) *
            (peak.load.random ? 1 : peak.load.bytes);
        UNSCOPED_INFO(fmt::format("{:<26} {:>14.0f} {:>14.0f} {:+.1f} %",
                                  peak.name,
                                  peak.published,
                                  rate,
                                  (rate / peak.published - 1) * 100));
        CHECK(rate == Approx(peak.published).epsilon(0.05));
    }
}

}  // namespace

TEST_CASE("ready SSDs reach the peak rates of their data sheets", "[analytic][ssd]") {
    check_rates(peaks);
}

TEST_CASE("a drive without its SLC cache writes as fast as its cells", "[analytic][ssd]") {
    const Load load{writes, false, large, 32, 0, 80'000};
    const double rate = rate_of("nvme-pcie4.yaml", {"slc_cache.size=0"}, load) * large;
    UNSCOPED_INFO(fmt::format("980 PRO after its cache {:.0f}", rate));
    // 32 dies, 32 KiB in 450 us of programming and 27.3 us on the channel.
    CHECK(rate == Approx(32 * 32768 / 477.3e-6).epsilon(0.01));
    CHECK(rate == Approx(2e9).epsilon(0.15));  // data sheet, after Intelligent TurboWrite
}

TEST_CASE("the SSD of the FAST'17 measurements serves as fast as its counters say",
          "[analytic][ssd]") {
    check_rates(fast17);
}

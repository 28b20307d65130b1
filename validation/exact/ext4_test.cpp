#include "lower/ext4.h"

#include "lower/block_queue.h"
#include "support/paper_host.h"
#include "support/simulation.h"
#include "support/time_text.h"

#include <catch2/catch.hpp>

#include <functional>
#include <string>
#include <vector>

// What ext4 and the block layer ask of a device, and when: schedules made on paper. Every request
// takes 1 ms, a sleeper that wakes on an idle core 3 us, all other work nothing.

using namespace fusesim;
using namespace fusesim::sim::literals;
using device::Io;
using lower::Ext4;
using sim::Task;
using sim::Time;

namespace {

/// Takes 1 ms for everything, `servers` at a time, and writes down what it was asked.
class PaperDevice final : public device::Device {
  public:
    explicit PaperDevice(sim::Engine& engine) : engine_(engine), station_("paper", 1) {}

    Task<> serve(const Io& io) override {
        asked.push_back(io);
        co_await engine_.delay(1_ms);
    }

    const sim::Station& station() const override { return station_; }

    void begin_window(Time now) override { station_.begin_window(now); }

    std::vector<Io> asked;

  private:
    sim::Engine& engine_;
    sim::Station station_;
};

struct Ext4Bench {
    explicit Ext4Bench(const lower::Ext4Settings& settings = cold(),
                       const lower::BlockSettings& block = {})
        : cpu(sim.engine, host(), 1), device(sim.engine), queue(cpu, device, block) {
        fs = std::make_unique<Ext4>(cpu, queue, settings);
        fs->add_directory(1, 1, false);
        fs->add_file(1, 2, 64u << 20);
        fs->add_file(1, 3, 64u << 20);
        fs->load_quietly(2);
        fs->load_quietly(3);
    }

    ~Ext4Bench() { sim.engine.kill_all(); }

    static host::HostProfile host() {
        host::HostProfile host = validation::paper_host(8);
        host.memory = config::Bytes{1u << 30};
        return host;
    }

    static lower::Ext4Settings cold() {
        lower::Ext4Settings settings;
        settings.device_bytes = std::uint64_t{64} << 30;
        settings.cold = true;
        return settings;
    }

    /// Runs one thread to its end; returns how long it took from having its core on.
    Time run(std::function<Task<>(host::Thread&)> body) {
        Time took;
        host::Thread thread(cpu, "caller", host::Group::application);
        sim.engine.spawn("caller", live(thread, body, took));
        sim.engine.run();
        return took;
    }

    Task<> live(host::Thread& thread, std::function<Task<>(host::Thread&)> body, Time& took) {
        co_await thread.run();
        const Time began = sim.engine.now();
        co_await body(thread);
        took = sim.engine.now() - began;
        fs->quiesce();
        thread.exit();
    }

    std::uint64_t block_of(Ext4::Id id, std::uint64_t page) const {
        return fs->extents(id).front().physical + page;
    }

    validation::Simulation sim;
    host::Cpu cpu;
    PaperDevice device;
    lower::BlockQueue queue;
    std::unique_ptr<Ext4> fs;
};

}  // namespace

TEST_CASE("a random read that misses is one request, one that hits is none", "[lower]") {
    Ext4Bench bench;
    const Time took = bench.run([&](host::Thread& thread) -> Task<> {
        co_await bench.fs->read(thread, 2, 4096 * 1000, 4096);
        co_await bench.fs->read(thread, 2, 4096 * 1000, 4096);
    });
    CHECK(took == 1_ms + 3_us);
    REQUIRE(bench.device.asked.size() == 1);
    CHECK(bench.device.asked[0].kind == Io::Kind::read);
    CHECK(bench.device.asked[0].offset == bench.block_of(2, 1000) * 4096);
    CHECK(bench.device.asked[0].bytes == 4096);
}

TEST_CASE("sequential reads of 4 KiB ask for windows of 4, 8, 16 and 32 pages", "[lower]") {
    Ext4Bench bench;
    bench.run([&](host::Thread& thread) -> Task<> {
        for (std::uint64_t page = 0; page < 92; ++page) {
            co_await bench.fs->read(thread, 2, 4096 * page, 4096);
        }
    });
    std::vector<std::pair<std::uint64_t, std::uint32_t>> asked;
    for (const Io& io : bench.device.asked) {
        asked.emplace_back(io.offset / 4096 - bench.block_of(2, 0), io.bytes / 4096);
    }
    CHECK(asked == std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                       {0, 4}, {4, 8}, {12, 16}, {28, 32}, {60, 32}, {92, 32}});
}

TEST_CASE("fsync is data, log, flush, and a durable commit block", "[lower]") {
    for (const bool fua : {true, false}) {
        lower::Ext4Settings settings = Ext4Bench::cold();
        settings.journal.fua = fua;
        Ext4Bench bench(settings);
        const Time took = bench.run([&](host::Thread& thread) -> Task<> {
            co_await bench.fs->write(thread, 2, 4096 * 7, 4096);
            co_await bench.fs->fsync(thread, 2, false);
        });
        // Data, log, flush, commit block; awake: caller, jbd2 four times, caller.
        CHECK(took == (fua ? 4_ms + 18_us : 5_ms + 21_us));
        const std::vector<Io>& asked = bench.device.asked;
        REQUIRE(asked.size() == (fua ? 4 : 5));
        const std::uint64_t log = bench.fs->layout().journal_first() * 4096;
        CHECK(asked[0].offset == bench.block_of(2, 7) * 4096);
        CHECK(asked[0].bytes == 4096);
        CHECK(asked[1].kind == Io::Kind::write);
        CHECK(asked[1].offset == log + 4096);  // behind its superblock
        CHECK(asked[1].bytes == 8192);         // descriptor, and the block with the inode
        CHECK(asked[2].kind == Io::Kind::flush);
        CHECK(asked[3].kind == Io::Kind::write);
        CHECK(asked[3].offset == log + 3 * 4096);
        CHECK(asked[3].bytes == 4096);
        CHECK(asked[3].fua == fua);
        CHECK(asked.back().kind == (fua ? Io::Kind::write : Io::Kind::flush));
    }
}

TEST_CASE(
    "fsync of a file that has not changed is one flush, fdatasync of one that has not grown "
    "does not wait for the journal",
    "[lower]") {
    Ext4Bench bench;
    const Time took = bench.run(
        [&](host::Thread& thread) -> Task<> { co_await bench.fs->fsync(thread, 2, false); });
    CHECK(took == 1_ms + 3_us);
    CHECK(bench.device.asked.front().kind == Io::Kind::flush);

    Ext4Bench other;
    const Time data = other.run([&](host::Thread& thread) -> Task<> {
        co_await other.fs->write(thread, 2, 0, 4096);
        co_await other.fs->fsync(thread, 2, true);
    });
    CHECK(data == 2_ms + 6_us);
    CHECK(other.fs->journal().commits() == 0);
}

TEST_CASE("without barriers nothing is flushed", "[lower]") {
    lower::Ext4Settings settings = Ext4Bench::cold();
    settings.journal.barrier = false;
    Ext4Bench bench(settings);
    const Time took = bench.run([&](host::Thread& thread) -> Task<> {
        co_await bench.fs->write(thread, 2, 0, 4096);
        co_await bench.fs->fsync(thread, 2, false);
    });
    CHECK(took == 3_ms + 15_us);
}

TEST_CASE("a cold name costs directory, inode table and bitmap, each once", "[lower]") {
    Ext4Bench bench;
    // Two of the files' names are looked up: the directory's block is in memory since it was made.
    const Time took = bench.run([&](host::Thread& thread) -> Task<> {
        co_await bench.fs->create(thread, 1, 10, false);
        co_await bench.fs->create(thread, 1, 11, false);
    });
    // The inode bitmap and the block of inodes that has the new one, with its neighbours.
    REQUIRE(bench.device.asked.size() == 2);
    CHECK(bench.device.asked[0].offset == bench.fs->layout().inode_bitmap(0) * 4096);
    CHECK(took == 2_ms + 6_us);
}

TEST_CASE("dirty pages are written when they are 30 s old, neighbours together", "[lower]") {
    Ext4Bench bench;
    bench.run([&](host::Thread& thread) -> Task<> {
        for (std::uint64_t page = 0; page < 64; ++page) {
            co_await bench.fs->write(thread, 2, 4096 * (page / 16 * 100 + page % 16), 4096);
        }
        co_await thread.sleep_for(40_s);
    });
    std::vector<std::pair<std::uint64_t, std::uint32_t>> data;
    for (const Io& io : bench.device.asked) {
        const std::uint64_t block = io.offset / 4096;
        if (block >= bench.block_of(2, 0) && block < bench.block_of(2, 400)) {
            data.emplace_back(block - bench.block_of(2, 0), io.bytes / 4096);
        }
    }
    CHECK(data == std::vector<std::pair<std::uint64_t, std::uint32_t>>{
                      {0, 16}, {100, 16}, {200, 16}, {300, 16}});
    CHECK(bench.fs->journal().commits() == 1);
}

TEST_CASE("mq-deadline goes on in order of place and merges neighbours", "[lower]") {
    lower::Deadline deadline;
    lower::BlockRequest requests[4];
    const std::uint64_t places[] = {50, 10, 30, 20};
    for (int i = 0; i < 4; ++i) {
        requests[i].io.kind = Io::Kind::read;
        requests[i].io.offset = places[i] * 4096;
        requests[i].io.bytes = 4096;
        deadline.add(requests[i]);
    }
    CHECK(deadline.next(Time()) == &requests[1]);
    lower::BlockRequest late;
    late.io.kind = Io::Kind::read;
    late.io.offset = 5 * 4096;
    late.io.bytes = 4096;
    late.arrived = 600_ms;
    deadline.add(late);
    CHECK(deadline.next(Time()) == &requests[3]);
    CHECK(deadline.next(Time()) == &requests[2]);
    CHECK(deadline.next(Time()) == &requests[0]);
    CHECK(deadline.next(Time()) == &late);  // behind the last: from the beginning again
    CHECK(deadline.next(Time()) == nullptr);
}

TEST_CASE("mq-deadline: reads pass writes twice, and what has expired goes first", "[lower]") {
    lower::Deadline::Tunables tunables;
    tunables.fifo_batch = 1;
    lower::Deadline deadline(tunables);
    lower::BlockRequest reads[4];
    lower::BlockRequest write;
    write.io.kind = Io::Kind::write;
    write.io.bytes = 4096;
    deadline.add(write);
    for (int i = 0; i < 4; ++i) {
        reads[i].io.offset = (40 - static_cast<std::uint64_t>(i)) * 8192;
        reads[i].io.bytes = 4096;
        deadline.add(reads[i]);
    }
    CHECK(deadline.next(Time()) == &reads[3]);
    CHECK(deadline.next(Time()) == &reads[2]);
    CHECK(deadline.next(Time()) == &write);
    CHECK(deadline.next(501_ms) == &reads[0]);  // waits longest, though farther
    CHECK(deadline.next(501_ms) == &reads[1]);
}

#include "bench.h"
#include "config/document.h"
#include "config/map.h"
#include "host/profile.h"
#include "profile.h"

#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace fusesim;
using namespace fusesim::sim::literals;

namespace {

const char* const plain_costs[] = {"syscall",
                                   "context_switch",
                                   "context_switch_thread",
                                   "block",
                                   "wake_same_core",
                                   "wake_cross_core",
                                   "thread_create",
                                   "page_cache_page",
                                   "fuse_submit",
                                   "fuse_read",
                                   "fuse_reply",
                                   "fuse_resume",
                                   "fuse_page",
                                   "fuse_page_submit",
                                   "fuse_page_reply",
                                   "fuse_page_resume",
                                   "fuse_page_write",
                                   "getattr",
                                   "direct_read",
                                   "direct_write",
                                   "libfuse_request",
                                   "libfuse_mt",
                                   "cached_write",
                                   "cached_write_page",
                                   "cached_write_new_page",
                                   "writeback_page",
                                   "drop_page",
                                   "buffered_read",
                                   "readahead_page"};

std::vector<double> gap_quantiles() {
    return {1e3, 2e3, 3e3, 4e3, 5e3, 6e3, 7e3, 8e3, 9e3, 10e3, 1.5e6};
}

/// A machine whose costs are 101 ns, 102 ns, ... in the order above.
calibrate::Profile made_up() {
    calibrate::Profile profile;
    double ns = 100;
    for (const char* key : plain_costs) {
        profile.costs[key] = {++ns, 0.015};
    }
    profile.vfs["lookup"] = {1'500, 0.01};
    profile.vfs["readdirplus_entry"] = {400, 0.01};
    calibrate::LowerProfile& below = profile.lower["ext4"];
    below.calls["lookup"] = {1'300, 0.01};
    below.calls["fdatasync"] = {50'000, 0.1};
    below.read = {{4096, {500, 0.01}}, {1'048'576, {60'000, 0.01}}};
    below.write = {{4096, {4'000, 0.01}}, {1'048'576, {55'000, 0.01}}};
    below.fdatasync_blocked = gap_quantiles();
    profile.lower["tmpfs"].calls["lookup"] = {1'200, 0.01};
    profile.copies = {{64, {5, 0.01}}, {4096, {1'500, 0.02}}};
    profile.memory = {{524'288, {0, 0.01}}, {16'777'216, {500, 0.02}}};
    profile.memory_run = {{524'288, {0, 0.01}}, {16'777'216, {400, 0.02}}};
    below.memory_share = 0.5;
    profile.interruptions = {{1e6, 2'000}};
    calibrate::IdleGap gap;
    gap.idle = 3'000;
    gap.running = gap_quantiles();
    gap.waker = gap.running;
    gap.cold = 120;
    gap.returned = 0.9;
    gap.timed = {40e3, 50e3, 90e3};
    profile.idle_exit = {gap};
    gap.idle = 50'000;
    gap.returned = 0.1;
    profile.idle_exit.push_back(gap);
    profile.slice = 1.4e6;
    profile.turn = 4e6;
    profile.preempted = 0.99;
    profile.stayed = 0.95;
    profile.cores = {0, 1};
    return profile;
}

host::HostProfile read_back(const calibrate::Profile& profile) {
    const std::string text = calibrate::profile_yaml(profile, "fusesim calibrate", "1.2.3");
    return config::read<host::HostProfile>(config::Document::parse(text, "host.yaml"));
}

}  // namespace

TEST_CASE("the simulator reads what calibrate writes", "[calibrate]") {
    const host::HostProfile host = read_back(made_up());
    CHECK(host.cores == 2);
    CHECK(host.scheduler.base_slice == 1400_us);
    CHECK(host.scheduler.turn == 4_ms);
    CHECK(host.scheduler.wakeup_preemption);
    CHECK(host.costs.syscall == 101_ns);
    CHECK(host.costs.context_switch == 102_ns);
    CHECK(host.costs.block == 104_ns);
    CHECK(host.costs.fuse_submit == 109_ns);
    CHECK(host.costs.libfuse_mt == 122_ns);
    CHECK(host.costs.readahead_page == 129_ns);
    REQUIRE(host.costs.idle_exit.size() == 2);
    CHECK(host.costs.idle_exit[0].idle == 3_us);
    CHECK(host.costs.idle_exit[0].quantiles.size() == 11);
    CHECK(host.costs.idle_exit[0].quantiles.back() == 1500_us);
    REQUIRE(host.costs.idle_exit_timer.size() == 2);
    CHECK(host.costs.idle_exit_timer[0].quantiles.back() == 90_us);
    CHECK(host.costs.cold_start[1].time == 120_ns);
    CHECK(host.costs.copy_time(4096) == 1500_ns);
    CHECK(host.spread.at("syscall") == "1.5 %");
    CHECK(host.provenance.at("fusesim") == "1.2.3");
}

TEST_CASE("the simulator reads what calls on mounts and below daemons cost", "[calibrate]") {
    const host::HostProfile host = read_back(made_up());
    CHECK(host.costs.vfs.lookup == 1500_ns);
    CHECK(host.costs.vfs.readdirplus_entry == 400_ns);
    REQUIRE(host.costs.lower.size() == 2);
    const host::LowerCosts& ext4 = host.costs.lower.at("ext4");
    CHECK(ext4.memory_share == 0.5);
    REQUIRE(host.interruptions.size() == 1);
    CHECK(host.interruptions.front().interval == 1_ms);
    CHECK(host.interruptions.front().time == 2_us);
    CHECK(host.costs.memory.back().time == 500_ns);
    CHECK(host.costs.memory_run.back().time == 400_ns);
    CHECK(ext4.lookup == 1300_ns);
    CHECK(ext4.fdatasync == 50_us);
    CHECK(host::Costs::time_by_size(ext4.read, 4096) == 500_ns);
    CHECK(host::Costs::time_by_size(ext4.write, 1u << 20) == 55_us);
    CHECK(ext4.fdatasync_blocked.size() == 11);
    CHECK(ext4.fdatasync_blocked.back() == 1500_us);
    CHECK(ext4.fsync_blocked.empty());
    CHECK(host.costs.lower.at("tmpfs").lookup == 1200_ns);
    CHECK(host.spread.at("vfs.lookup") == "1.0 %");
    CHECK(host.spread.at("lower.ext4.fdatasync") == "10.0 %");
}

TEST_CASE("calls are timed without what the clock costs, and at least three times", "[calibrate]") {
    calibrate::Timed timed;
    int done = 0;
    calibrate::repeat_for(0, [&] { timed([&] { ++done; }); });
    CHECK(done == 3);
    CHECK(calibrate::Timed().mean() == 0);
}

TEST_CASE("idle cores count as unavailable where woken threads stay beside their waker",
          "[calibrate]") {
    calibrate::Profile profile = made_up();
    CHECK(read_back(profile).scheduler.halted_is_unavailable);
    CHECK(read_back(profile).scheduler.halt_poll == 3_us);
    profile.stayed = 0.05;
    CHECK_FALSE(read_back(profile).scheduler.halted_is_unavailable);
}

TEST_CASE("a difference lost in its spread is written as nothing, not as a negative cost",
          "[calibrate]") {
    calibrate::Profile profile = made_up();
    profile.costs["direct_read"].value = -20;
    CHECK(read_back(profile).costs.direct_read == 0_ns);
}

TEST_CASE("the closing check reports the largest error of either sign", "[calibrate]") {
    calibrate::Profile profile = made_up();
    profile.checks.push_back({"getattr", {7'000, 0.01}, 7'070, 0.01});
    profile.checks.push_back({"read 4 KiB", {8'000, 0.01}, 7'600, -0.05});
    CHECK(calibrate::worst_error(profile) == Approx(0.05));
    CHECK(calibrate::check_table(profile).find("-5.0 %") != std::string::npos);
}

TEST_CASE("a middle mean ignores the outer tenths and averages the rest", "[calibrate]") {
    std::vector<double> values{-1e9, 1, 2, 3, 4, 5, 6, 7, 8, 1e9};
    CHECK(calibrate::middle_mean(values) == Approx(4.5));
    CHECK(calibrate::middle_mean({}) == 0);
    CHECK(calibrate::quantile(values, 0) == -1e9);
    CHECK(calibrate::quantile(values, 1) == 1e9);
    CHECK(calibrate::agree({9, 10, 11}).value == 10);
    CHECK(calibrate::agree({9, 10, 11}).spread == Approx(0.1));
}

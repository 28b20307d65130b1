#include "workload/fit.h"

#include "config/document.h"
#include "config/error.h"
#include "config/map.h"
#include "sim/distribution_format.h"
#include "system/scenario.h"
#include "trace_samples.h"
#include "workload/fit_distribution.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

using namespace fusesim;
using fuse::Opcode;
using trace::Record;
using workload::fit_distribution;

namespace {

using Sample = std::vector<std::int64_t>;

double mean_of(const Sample& sample) {
    return std::accumulate(sample.begin(), sample.end(), 0.0) / static_cast<double>(sample.size());
}

double quantile_of(Sample sample, double q) {
    std::sort(sample.begin(), sample.end());
    return static_cast<double>(
        sample[static_cast<std::size_t>(q * static_cast<double>(sample.size()))]);
}

double mean_ns(const sim::Distribution& distribution) {
    return distribution.mean().seconds() * 1e9;
}

/// Draws, so that what is checked is what a simulation gets.
Sample drawn(const sim::Distribution& distribution, std::size_t count) {
    sim::Random random(7, "fit test");
    Sample sample;
    for (std::size_t i = 0; i < count; ++i) {
        sample.push_back(distribution.draw(random).ns());
    }
    return sample;
}

Sample sample_of(const sim::Distribution& distribution, std::size_t count, const char* stream) {
    sim::Random random(1, stream);
    Sample sample;
    for (std::size_t i = 0; i < count; ++i) {
        sample.push_back(distribution.draw(random).ns());
    }
    return sample;
}

/// Records, 1 ms apart or more, whose contents `fill` sets; taken 1 us after queued.
std::vector<Record> records(std::size_t count,
                            const std::function<void(std::size_t, Record&)>& fill) {
    std::vector<Record> all;
    std::int64_t now = 0;
    for (std::size_t i = 0; i < count; ++i) {
        Record record;
        record.opcode = static_cast<std::uint32_t>(Opcode::read);
        record.unique = 2 * i + 2;
        record.queued = now;
        record.taken = now + 1000;
        record.replied = record.taken;
        fill(i, record);
        if (record.replied != trace::unknown_time) {
            record.ended = record.replied + 1000;
            now = record.ended;
        }
        now += 1'000'000;
        all.push_back(record);
    }
    return all;
}

struct Fitted {
    workload::DaemonFit fit;
    std::string yaml;

    system::DaemonConfig config() const {
        return config::read<system::DaemonConfig>(config::Document::parse(yaml, "daemon.yaml"));
    }
};

Fitted fitted(const std::vector<Record>& records, trace::Header header = {}) {
    const ScratchFile file;
    trace::Writer writer(file.path(), header);
    for (const Record& record : records) {
        writer.add(record);
    }
    writer.finish();
    trace::Reader reader(file.path());
    Fitted result;
    result.fit = workload::fit_daemon(reader);
    result.yaml = workload::daemon_yaml(result.fit, reader, "x.trace", "test");
    return result;
}

std::string complaint(const std::vector<Record>& records, const trace::Header& header = {}) {
    try {
        fitted(records, header);
    } catch (const config::Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("service times survive the way from a trace through a file into a scenario", "[fit]") {
    using namespace sim::literals;
    const Sample cpu = sample_of(sim::Distribution::exponential(20_us), 20'000, "cpu");
    const Sample blocked = sample_of(sim::Distribution::lognormal(300_us, 2), 20'000, "blocked");
    const Sample lookup = sample_of(sim::Distribution::erlang(4_us, 4), 20'000, "lookup");
    const Fitted result = fitted(records(40'000, [&](std::size_t i, Record& record) {
        if (i % 2 == 0) {
            record.service_cpu = cpu[i / 2];
            record.service_blocked = blocked[i / 2];
            record.replied = record.taken + cpu[i / 2] + blocked[i / 2];
        } else {
            record.opcode = static_cast<std::uint32_t>(Opcode::lookup);
            record.service_cpu = lookup[i / 2];
            record.service_blocked = 0;
            record.replied = record.taken + lookup[i / 2] + 50'000;  // waited for a core as well
        }
    }));
    const system::DaemonConfig config = result.config();
    CHECK(config.filesystem == system::DaemonConfig::Kind::service_time);
    REQUIRE(config.service.size() == 3);
    const auto check = [](const sim::Distribution& distribution, const Sample& sample) {
        CHECK(mean_ns(distribution) == Approx(mean_of(sample)).epsilon(0.01));
        const Sample again = drawn(distribution, 400'000);
        CHECK(mean_of(again) == Approx(mean_of(sample)).epsilon(0.01));
        CHECK(quantile_of(again, 0.5) == Approx(quantile_of(sample, 0.5)).epsilon(0.02));
        CHECK(quantile_of(again, 0.99) == Approx(quantile_of(sample, 0.99)).epsilon(0.05));
    };
    check(config.service.at("READ").cpu, cpu);
    check(config.service.at("READ").blocked, blocked);
    check(config.service.at("LOOKUP").cpu, lookup);
    check(config.service.at("other").cpu, lookup);
    // The true figures, not only the sampled ones: p99 of an exponential is ln(100) means.
    CHECK(quantile_of(drawn(config.service.at("READ").cpu, 400'000), 0.99) ==
          Approx(20'000 * std::log(100)).epsilon(0.05));
    CHECK(config.service.at("LOOKUP").blocked.mean() == sim::Time());
    CHECK(result.yaml.find("blocked:") == result.yaml.rfind("blocked:"));  // only READ has one
    CHECK(workload::fit_warnings(result.fit).empty());
}

TEST_CASE("a fit has the mean, the least and the greatest value of any sample", "[fit]") {
    Sample sample;
    SECTION("ten values") {
        sample = {5, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 9000};
    }
    SECTION("nine tenths nothing, then one value") {
        sample.assign(900, 0);
        sample.insert(sample.end(), 100, 1'000'000);
    }
    SECTION("a step that is at no point") {
        sample.assign(9337, 1500);
        sample.insert(sample.end(), 663, 480'000);
    }
    SECTION("one value a million times the others") {
        sample.assign(2000, 1000);
        sample.push_back(1'000'000'000);
    }
    SECTION("mostly the greatest value") {
        sample.assign(5000, 70'000);
        sample.front() = 1;
    }
    SECTION("a tail so heavy that the greatest values are the mean") {
        sim::Random random(3, "pareto");
        for (int i = 0; i < 30'000; ++i) {
            sample.push_back(
                static_cast<std::int64_t>(1000 * std::pow(1 - random.uniform(), -1 / 1.1)));
        }
    }
    SECTION("evenly spread") {
        sample.resize(1237);
        std::iota(sample.begin(), sample.end(), 40'000);
    }
    const sim::Distribution distribution = fit_distribution(sample);
    const auto [least, greatest] = std::minmax_element(sample.begin(), sample.end());
    CHECK(mean_ns(distribution) == Approx(mean_of(sample)).epsilon(0.0055));
    REQUIRE(distribution.shape() == sim::Distribution::Shape::quantiles);
    CHECK(distribution.points().front().second.seconds() * 1e9 ==
          Approx(static_cast<double>(*least)).epsilon(1e-3).margin(1e-6));
    CHECK(distribution.points().back().second.seconds() * 1e9 ==
          Approx(static_cast<double>(*greatest)).epsilon(1e-3));
    // Written and read again it is the same.
    using Text = config::Format<sim::Distribution>;
    CHECK(Text::parse(Text::text(distribution)).points() == distribution.points());
}

TEST_CASE("few or equal values become a constant", "[fit]") {
    const sim::Distribution few = fit_distribution({1000, 2000, 6000});
    CHECK(few.shape() == sim::Distribution::Shape::constant);
    CHECK(few.mean() == sim::Time::from_ns(3000));
    const sim::Distribution equal = fit_distribution(Sample(5000, 1234));
    CHECK(equal.shape() == sim::Distribution::Shape::constant);
    CHECK(equal.mean() == sim::Time::from_ns(1234));
}

TEST_CASE("without the scheduler's events the span counts as work, and the fit says so", "[fit]") {
    const Fitted result = fitted(records(5, [](std::size_t i, Record& record) {
        record.replied = record.taken + 5000;
        if (i == 0) {  // never answered while it was recorded
            record.replied = trace::unknown_time;
        }
    }));
    CHECK(result.config().service.at("READ").cpu.mean() == sim::Time::from_ns(5000));
    CHECK(result.config().service.at("other").cpu.mean() == sim::Time::from_ns(5000));
    const auto warnings = workload::fit_warnings(result.fit);
    REQUIRE(warnings.size() == 2);
    CHECK_THAT(warnings[0], Catch::StartsWith("4 of 4 service times are spans"));
    CHECK_THAT(warnings[1], Catch::StartsWith("1 requests were left out"));
    CHECK_THAT(result.yaml, Catch::Contains("# warning: 4 of 4 service times are spans"));
}

TEST_CASE("service that grows with size is told, other differences of size are not", "[fit]") {
    const auto with = [](auto service) {
        sim::Random random(5, "sizes");
        return fitted(records(2000,
                              [&](std::size_t i, Record& record) {
                                  const std::uint64_t sizes[] = {4096, 16'384, 131'072};
                                  record.size = 131'072;  // asked for; what came counts
                                  const std::uint64_t came = sizes[i % 3];
                                  record.bytes_out = static_cast<std::uint32_t>(16 + came);
                                  record.service_cpu =
                                      static_cast<std::int64_t>(service(came, random));
                                  record.replied = record.taken + record.service_cpu;
                              }))
            .fit.opcodes.at(0);
    };
    const auto grows = with([](double bytes, sim::Random& random) {
        return 2000 + bytes / 4 + random.exponential(2000);
    });
    REQUIRE(grows.size_effect);
    CHECK(grows.size_effect->smallest == 4096);
    CHECK(grows.size_effect->largest == 131'072);
    CHECK(grows.size_effect->correlation > 0.9);
    CHECK(grows.size_effect->at_larger_s > 5 * grows.size_effect->at_smaller_s);
    const auto same = with([](double, sim::Random& random) { return random.exponential(2000); });
    CHECK_FALSE(same.size_effect);
}

TEST_CASE("the file of a fit says where it comes from, on lines of its own", "[fit]") {
    trace::Header header;
    header.tool = "fusesim record 0.1.0";
    header.kernel = "6.18\nevil: true";
    header.facts = {{"daemon.threads", "4"}, {"mount.fstype", "fuse.bindfs"}, {"workload", "fio"}};
    const Fitted result = fitted(records(12,
                                         [](std::size_t i, Record& record) {
                                             record.error = i == 3 ? -2 : 0;
                                             record.service_cpu = 100;
                                         }),
                                 header);
    CHECK(result.config().service.size() == 2);
    for (const char* line : {"# trace: x.trace\n",
                             "# content: ",
                             "# recorded by: fusesim record 0.1.0\n",
                             "# kernel: 6.18?evil: true\n",
                             "# daemon.threads: 4\n",
                             "# mount.fstype: fuse.bindfs\n",
                             "# fitted by: test\n",
                             "  # 12 requests, mean cpu 100 ns, 1 with errors\n"}) {
        CHECK_THAT(result.yaml, Catch::Contains(line));
    }
}

TEST_CASE("a trace that does not show the daemon is refused with the reason", "[fit]") {
    const auto blind = [](std::size_t, Record& record) {
        record.taken = trace::unknown_time;
        record.replied = trace::unknown_time;
    };
    CHECK_THAT(complaint(records(3, blind)),
               Catch::Contains("no request has a service time") && Catch::Contains("hint: "));
    CHECK_THAT(complaint({}), Catch::Contains("the trace holds no record"));
    trace::Header calls;
    calls.layer = trace::Layer::syscall;
    CHECK_THAT(complaint(records(3, blind), calls),
               Catch::Contains("application calls does not show the daemon") &&
                   Catch::Contains("record with --layer fuse"));
    // Messages that nobody answers have no service time, whatever their stamps are.
    CHECK_THAT(complaint(records(3,
                                 [](std::size_t, Record& record) {
                                     record.opcode = static_cast<std::uint32_t>(Opcode::forget);
                                 })),
               Catch::Contains("no request has a service time"));
}

#include "cache.h"
#include "config/error.h"
#include "points.h"
#include "pool.h"
#include "table.h"

#include <catch2/catch.hpp>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

using namespace fusesim;
using namespace fusesim::sweep;
using Values = std::vector<std::string>;

namespace {

Values values_of(const std::string& text) {
    return parse_param(text).values;
}

/// A folder that goes with the test.
struct ScratchFolder {
    ScratchFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "sweepXXXXXX").string();
        path = mkdtemp(name.data());
    }

    ~ScratchFolder() { std::filesystem::remove_all(path); }

    std::filesystem::path path;
};

Point point(const std::string& value, double ops_per_s) {
    Point out;
    out.settings = {{"mount.max_background", value}};
    out.result.throughput.ops_per_s = ops_per_s;
    report::Operation read;
    read.count = 5;
    read.latency = report::Latency{1e-6, 1e-6, 2e-6, 3e-6, 4e-6, 5e-6};
    out.result.operations.emplace_back("read", read);
    return out;
}

}  // namespace

TEST_CASE("values of a parameter: lists, ranges, units", "[unit]") {
    CHECK(parse_param(" mount.max_background = 12, 64").key == "mount.max_background");
    CHECK(values_of("a=12, 64") == Values{"12", "64"});
    CHECK(values_of("a=1..4") == Values{"1", "2", "3", "4"});
    CHECK(values_of("a=0..100+40") == Values{"0", "40", "80"});
    CHECK(values_of("a=4..64*4 KiB") == Values{"4 KiB", "16 KiB", "64 KiB"});
    CHECK(values_of("a=0..0.3+0.1") == Values{"0", "0.1", "0.2", "0.3"});
    CHECK(values_of("a=-10..-8") == Values{"-10", "-9", "-8"});
    CHECK(values_of("a=1..2,8") == Values{"1", "2", "8"});
    CHECK(values_of("a={x: 1, y: [1, 2]},'b,c'") == Values{"{x: 1, y: [1, 2]}", "'b,c'"});
}

TEST_CASE("parameters that make no sense are refused", "[unit]") {
    for (const char* text : {"a",
                             "=1",
                             "a=",
                             "a=1,,2",
                             "a=8..1",
                             "a=1..8*1",
                             "a=0..8*2",
                             "a=1..8+0",
                             "a=0..1000000000"}) {
        CAPTURE(text);
        CHECK_THROWS_AS(parse_param(text), config::Error);
    }
}

TEST_CASE("points: every combination but those left out, the last parameter fastest", "[unit]") {
    const std::vector<Param> params{parse_param("a=1,2"), parse_param("b=x,y")};
    const std::vector<Settings> all = points(params, {});
    REQUIRE(all.size() == 4);
    CHECK(to_text(all[0]) == "a=1 b=x");
    CHECK(to_text(all[1]) == "a=1 b=y");
    CHECK(to_text(all[3]) == "a=2 b=y");
    CHECK(points(params, {parse_exclusion("a=1,b=y")}).size() == 3);
    CHECK(points(params, {parse_exclusion("a=1")}).size() == 2);
    CHECK_THROWS_AS(points(params, {parse_exclusion("c=1")}), config::Error);
    CHECK_THROWS_AS(points(params, {parse_exclusion("a=3")}), config::Error);
}

TEST_CASE("the cache gives back what was stored, and nothing else", "[unit]") {
    const ScratchFolder folder;
    const Cache cache(folder.path / "below" / "it");
    const std::string key = hash_of("one");
    CHECK(key.size() == 32);
    CHECK(key != hash_of("two"));
    CHECK_FALSE(cache.find(key));
    cache.store(key, "text");
    cache.store(key, "text again");
    CHECK(cache.find(key) == "text again");
    CHECK_FALSE(cache.find(hash_of("two")));
    cache.forget(key);
    CHECK_FALSE(cache.find(key));
    CHECK_THROWS_AS(Cache("/proc/none"), config::Error);
}

TEST_CASE("the hash of a file is that of its content", "[unit]") {
    const ScratchFolder folder;
    const Cache cache(folder.path);
    const std::string text(100'000, 'x');
    cache.store("file", text);
    CHECK(hash_of_file(folder.path / "file.json") == hash_of(text));
}

TEST_CASE("each number is worked on once, by a process of its own", "[unit]") {
    const ScratchFolder folder;
    const Cache cache(folder.path);
    for (const unsigned jobs : {1U, 3U}) {
        std::size_t last = 0;
        PoolOptions options;
        options.jobs = jobs;
        options.finished = [&](std::size_t ended) { last = ended; };
        const pid_t self = getpid();
        const int status = run_in_processes(
            7,
            [&](std::size_t number) {
                cache.store(std::to_string(number), getpid() == self ? "same" : "own");
                return number == 3 ? 2 : 0;
            },
            options);
        CHECK(status == 2);
        CHECK(last == 7);
        for (int number = 0; number < 7; ++number) {
            CHECK(cache.find(std::to_string(number)) == "own");
            cache.forget(std::to_string(number));
        }
    }
}

TEST_CASE("a sweep that is stopped ends its children", "[unit]") {
    std::atomic<bool> stop{false};
    PoolOptions options;
    options.jobs = 2;
    options.stop = &stop;
    options.finished = [&](std::size_t) { stop = true; };
    const int status = run_in_processes(
        3,
        [](std::size_t number) {
            if (number > 0) {
                pause();
            }
            return 0;
        },
        options);
    CHECK(status == 130);
}

TEST_CASE("the table relates all points to the first", "[unit]") {
    const std::string text = table({point("12", 1000), point("64", 2500)});
    CHECK(text.find("max_background") != std::string::npos);
    CHECK(text.find("2.50") != std::string::npos);
    CHECK(text.find("3.00 us") != std::string::npos);
    const std::string rows = csv({point("12", 1000), point("a,b", 2500)});
    CHECK(rows.find("mount.max_background,ops_per_s,") == 0);
    CHECK(rows.find("\n\"a,b\",2500,,,2.5,") != std::string::npos);
    const auto json = config::Json::parse(json_text({point("12", 1000)}));
    CHECK(json["schema_version"] == 1);
    CHECK(json["points"][0]["set"]["mount.max_background"] == 12);
    CHECK(json["points"][0]["result"]["throughput"]["ops_per_s"] == 1000.0);
}

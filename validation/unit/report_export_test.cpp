#include "report/export.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace fusesim::report;

namespace {

/// Two intervals of half a second, and three requests, one of which was killed while it waited.
Result exported_result() {
    Result r;
    r.version = "0.1.0";
    r.seed = 3;
    r.warm_up_s = 0.5;
    r.duration_s = 1;
    r.throughput.ops_per_s = 1000;
    r.throughput.read_bytes_per_s = 4096e3;
    r.operations = {{"read", {1000, 1000, Latency{30e-6, 25e-6, 60e-6, 80e-6, 90e-6, 100e-6}}}};
    r.cpu = Cpu{0.25, 0.3, 0.2, 0.05};
    r.details = Json::parse(R"({
        "time_s": [0.5, 1.0],
        "operations": {"read": {"per_s": [900, 1100], "mean_s": [3e-5, null],
            "distribution": {"share": [0, 0.5, 0.9, 1], "latency_s": [1e-5, 2.6e-5, 5e-5, 1e-4]}}},
        "requests": {"READ": {"per_s": [400, 600]}},
        "stations": {"/dev/fuse": {"utilisation": [0.25, 0.5], "queue_length": [0.5, 2]},
                     "core[0]": {"utilisation": [1, 0], "queue_length": [0, 0]}},
        "timeline": {"columns": [], "requests": [
            ["READ", 2, -1e-6, -1e-6, 2e-6, 5e-6, 6e-6],
            ["READ", 4, 1e-6, 3e-6, 4e-6, 7e-6, 9e-6],
            ["WRITE", 6, 2e-6, 4e-6, null, null, 8e-6]]}})");
    return r;
}

/// A value change dump as a viewer takes it, with every rule of its grammar that is used checked.
struct ParsedDump {
    std::map<std::string, std::string> names;  ///< by code: scopes and name, with dots
    std::map<std::string, std::vector<std::pair<long long, double>>> changes;  ///< by name
    long long end = 0;

    explicit ParsedDump(const std::string& text) {
        std::istringstream words(text);
        std::vector<std::string> scopes;
        const auto expect = [&words](const std::string& wanted) {
            std::string word;
            words >> word;
            REQUIRE(word == wanted);
        };
        const auto next = [&words] {
            std::string word;
            REQUIRE(words >> word);
            return word;
        };
        expect("$version");
        while (next() != "$end") {
        }
        for (const char* word : {"$timescale", "1", "ns", "$end"}) {
            expect(word);
        }
        for (std::string word = next(); word != "$enddefinitions"; word = next()) {
            if (word == "$scope") {
                expect("module");
                scopes.push_back(next());
            } else if (word == "$upscope") {
                REQUIRE(!scopes.empty());
                scopes.pop_back();
            } else {
                REQUIRE(word == "$var");
                const std::string type = next();
                REQUIRE((type == "real" || type == "integer"));
                REQUIRE(next() == (type == "real" ? "64" : "32"));
                const std::string code = next();
                std::string name;
                for (const std::string& scope : scopes) {
                    name += scope + ".";
                }
                REQUIRE(names.emplace(code, name + next()).second);
            }
            expect("$end");
        }
        expect("$end");
        REQUIRE(scopes.empty());
        long long time = -1;
        for (std::string word; words >> word;) {
            if (word.front() == '#') {
                const long long later = std::stoll(word.substr(1));
                REQUIRE(later > time);
                time = later;
                continue;
            }
            REQUIRE(time >= 0);
            REQUIRE((word.front() == 'r' || word.front() == 'b'));
            const std::string digits = word.substr(1);
            const double value = word.front() == 'r'
                                     ? std::stod(digits)
                                     : static_cast<double>(std::stoll(digits, nullptr, 2));
            const auto variable = names.find(next());
            REQUIRE(variable != names.end());
            changes[variable->second].emplace_back(time, value);
        }
        end = time;
    }
};

using Changes = std::vector<std::pair<long long, double>>;

}  // namespace

TEST_CASE("trace events: each request begins and ends once, its phases lie within and join up") {
    const Json trace = Json::parse(chrome_trace(exported_result()));
    std::map<std::string, std::vector<Json>> by_id;
    for (const Json& event : trace.at("traceEvents")) {
        if (event.contains("id")) {
            by_id[event.at("id").get<std::string>()].push_back(event);
        }
    }
    REQUIRE(by_id.size() == 3);
    const auto span = [&by_id](const std::string& id, const std::string& name) {
        std::vector<double> times;
        for (const Json& event : by_id.at(id)) {
            if (event.at("name") == name) {
                CHECK(event.at("ph") == (times.empty() ? "b" : "e"));
                times.push_back(event.at("ts").get<double>());
            }
        }
        return times;
    };
    CHECK(span("0x4", "READ") == std::vector<double>{1, 9});
    CHECK(span("0x4", "background") == std::vector<double>{1, 3});
    CHECK(span("0x4", "queue") == std::vector<double>{3, 4});
    CHECK(span("0x4", "processing") == std::vector<double>{4, 7});
    CHECK(span("0x4", "reply") == std::vector<double>{7, 9});
    CHECK(span("0x2", "background").empty());
    // Killed in the queue.
    CHECK(span("0x6", "WRITE") == std::vector<double>{2, 8});
    CHECK(span("0x6", "queue") == std::vector<double>{4, 8});
    CHECK(span("0x6", "processing").empty());
}

TEST_CASE("trace events: stations and rates are counters at the begin of each interval") {
    const Json trace = Json::parse(chrome_trace(exported_result()));
    std::map<std::string, Changes> counters;
    for (const Json& event : trace.at("traceEvents")) {
        if (event.at("ph") == "C") {
            REQUIRE(event.at("args").size() == 1);
            counters[event.at("name").get<std::string>()].emplace_back(
                std::llround(event.at("ts").get<double>()),
                event.at("args").begin()->get<double>());
        }
    }
    CHECK(counters.at("/dev/fuse waiting") == Changes{{0, 0.5}, {500'000, 2}});
    CHECK(counters.at("/dev/fuse busy") == Changes{{0, 0.25}, {500'000, 0.5}});
    CHECK(counters.at("core[0] busy") == Changes{{0, 1}, {500'000, 0}});
    CHECK(counters.at("read per second") == Changes{{0, 900}, {500'000, 1100}});
    CHECK(counters.at("READ per second") == Changes{{0, 400}, {500'000, 600}});
}

TEST_CASE("value change dump: stations by interval, and how many requests are in each phase") {
    const ParsedDump dump(vcd(exported_result()));
    CHECK(dump.end == 1'000'000'000);
    CHECK(dump.changes.at("fusesim.dev_fuse.waiting") == Changes{{0, 0.5}, {500'000'000, 2}});
    CHECK(dump.changes.at("fusesim.core_0.busy") == Changes{{0, 1}, {500'000'000, 0}});
    CHECK(dump.changes.at("fusesim.requests.background") ==
          Changes{{0, 0}, {1000, 1}, {2000, 2}, {3000, 1}, {4000, 0}});
    // The first came before the window.
    CHECK(dump.changes.at("fusesim.requests.queue") ==
          Changes{{0, 1}, {2000, 0}, {3000, 1}, {8000, 0}});
    CHECK(dump.changes.at("fusesim.requests.reply") ==
          Changes{{0, 0}, {5000, 1}, {6000, 0}, {7000, 1}, {9000, 0}});
}

TEST_CASE("value change dump: hundreds of variables have different codes and names") {
    Result result = exported_result();
    const Json station = result.details["stations"]["core[0]"];
    for (int i = 0; i < 200; ++i) {
        result.details["stations"]["core[" + std::to_string(i) + "]"] = station;
    }
    result.details["stations"]["core_7"] = station;
    const ParsedDump dump(vcd(result));
    std::set<std::string> names;
    for (const auto& [code, name] : dump.names) {
        names.insert(name);
    }
    CHECK(names.size() == dump.names.size());
    CHECK(dump.names.size() == 2 * 202 + 4);
}

TEST_CASE("fio's JSON: what a script reads, in fio's units, from the result") {
    const Json fio = Json::parse(fio_json(exported_result()));
    const Json& job = fio.at("jobs").at(0);
    const Json& read = job.at("read");
    CHECK(read.at("iops") == 1000.0);
    CHECK(read.at("bw") == 4000);
    CHECK(read.at("bw_bytes") == 4'096'000);
    CHECK(read.at("io_bytes") == 4'096'000);
    CHECK(read.at("runtime") == 1000);
    CHECK(read.at("total_ios") == 1000);
    CHECK(read.at("clat_ns").at("mean").get<double>() == Approx(30'000));
    CHECK(read.at("clat_ns").at("max") == 100'000);
    CHECK(read.at("lat_ns").at("N") == 1000);
    // The details hold more than the result's own percentiles.
    CHECK(read.at("clat_ns").at("min") == 10'000);
    CHECK(read.at("clat_ns").at("percentile") ==
          Json{{"50.000000", 26'000}, {"90.000000", 50'000}});
    CHECK(job.at("write").at("total_ios") == 0);
    CHECK(job.at("sync").at("total_ios") == 0);
    CHECK(job.at("usr_cpu").get<double>() == Approx(25));
    CHECK(job.at("sys_cpu").get<double>() == Approx(15));
}

TEST_CASE("fio's JSON: what a result does not hold is left out") {
    Result result = exported_result();
    result.details = nullptr;
    result.cpu.reset();
    const Json job = Json::parse(fio_json(result)).at("jobs").at(0);
    const Json& latency = job.at("read").at("clat_ns");
    CHECK(latency.at("percentile") == Json{{"50.000000", 25'000},
                                           {"95.000000", 60'000},
                                           {"99.000000", 80'000},
                                           {"99.900000", 90'000}});
    for (const char* key : {"min", "stddev"}) {
        CHECK_FALSE(latency.contains(key));
    }
    CHECK_FALSE(job.contains("usr_cpu"));
}

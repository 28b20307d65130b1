#include "report/report.h"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace fusesim::report;
using fusesim::config::Error;

namespace {

Result example() {
    Result r;
    r.version = "0.1.0";
    r.seed = 7;
    r.config = {{"mount", {{"max_background", 12}}}};
    r.warm_up_s = 1;
    r.duration_s = 10;
    r.throughput = {14'747, 14'747 * 4096.0, 0, {{"ops_per_s", {14'700, 14'800}}}};
    const Latency read{67.808e-6, 67.616e-6, 70e-6, 80.4e-6, 95e-6, 1.2e-3};
    r.operations = {{"read", {147'470, 14'747, read}}, {"close", {0, 0, {}}}};
    r.requests = {
        {"READ",
         {147'470, 80 * 147'470, 4112 * 147'470, read, Phases{0, 12.34e-6, 40.06e-6, 15.408e-6}}},
        {"FORGET", {12, 672, 0, {}, {}}},
        {"COPY_FILE_RANGE", {3, 300, 60, Latency{2e-3, 2e-3, 3e-3, 3e-3, 3e-3, 3e-3}, {}}},
    };
    r.stations = {{"/dev/fuse", 0.12, 0.3, 1.2e-6, 3e-6}, {"worker 0", 0.973, 2.25, 153e-6, 66e-6}};
    r.bottleneck = busiest(r.stations);
    r.cpu = Cpu{1.25, 6.5, 2.25, 0, 294'940};
    r.memory = {{"requests_peak_bytes", 1536}, {"threads", 4}};
    return r;
}

Result replayed() {
    Result r = example();
    r.comparison =
        Comparison{"traces/sshfs.fst",
                   "think",
                   {{"READ",
                     {{100, 67.8e-6, 67e-6, 80e-6, Phases{{}, 12e-6, 40e-6, {}}},
                      {100, 70.1e-6, 68e-6, 72e-6, Phases{0, 12.3e-6, 42.4e-6, 15.4e-6}}}},
                    {"LOOKUP", {{3, 0, 0, 0, {}}, {2, 1e-6, 1e-6, 1e-6, {}}}}}};
    return r;
}

std::size_t widest_line(const std::string& text) {
    std::istringstream lines(text);
    std::size_t widest = 0;
    for (std::string line; std::getline(lines, line);) {
        widest = std::max(widest, line.size());
    }
    return widest;
}

/// What from_json() says about a result in which `change` broke something.
template <class Change>
std::string result_complaint(Change change) {
    Json json = to_json(replayed());
    change(json);
    try {
        from_json(json, "r.json");
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

/// What load() says about a file of these bytes.
std::string load_complaint(const std::string& bytes) {
    const std::string path = "report-test-" + std::to_string(getpid()) + ".json";
    std::ofstream(path, std::ios::binary) << bytes;
    std::string text;
    try {
        load(path);
    } catch (const Error& error) {
        text = error.what();
    }
    std::remove(path.c_str());
    const auto at = text.find(path);
    return at == 0 ? "r.json" + text.substr(path.size()) : text;
}

}  // namespace

TEST_CASE("the text of a run", "[report]") {
    CHECK(text(example()) ==
          R"(simulated, window 10.0 s after 1.00 s of warm-up
throughput 14.7 k ops/s (95 %: 14.7 k to 14.8 k)
read 57.6 MiB/s (60.4 MB/s), write 0 B/s

operation   count     mean      p50      p95      p99    p99.9      max
read       147470  67.8 us  67.6 us  70.0 us  80.4 us  95.0 us  1.20 ms
close           0        -        -        -        -        -        -

request           count     mean      p50      p95      p99    p99.9      max
READ             147470  67.8 us  67.6 us  70.0 us  80.4 us  95.0 us  1.20 ms
FORGET               12        -        -        -        -        -        -
COPY_FILE_RANGE       3  2.00 ms  2.00 ms  3.00 ms  3.00 ms  3.00 ms  3.00 ms

where the time goes   mean =  background +  queue +  processing +  reply
READ                 67.8 us             0     12.3          40.1   15.4

station    utilisation  queue  waiting  service
/dev/fuse       12.0 %  0.300  1.20 us  3.00 us
worker 0        97.3 %   2.25   153 us  66.0 us

worker 0 limits the throughput: it is busy 97.3 % of the time, and requests wait
153 us there for 66.0 us of service.

cpu: application 1.25 s, daemon 6.50 s, kernel 2.25 s (1.00 cores)
     294940 context switches
memory: requests_peak 1.50 KiB, threads 4

seed 7 | config 7501e5957256cfad | fusesim 0.1.0
)");
}

TEST_CASE("the text of a replay sets recorded and simulated side by side", "[report]") {
    const std::string all = text(replayed());
    const auto begin = all.find("Replay of");
    REQUIRE(begin != std::string::npos);
    const auto end = all.find("\nstation ");
    CHECK(all.substr(begin, end - begin) ==
          R"(Replay of traces/sshfs.fst, mode think:
request  count  latency  recorded |  simulated |    error
READ       100     mean   67.8 us |    70.1 us |   +3.4 %
                    p50   67.0 us |    68.0 us |   +1.5 %
                    p99   80.0 us |    72.0 us |  -10.0 %
LOOKUP   3 / 2     mean       0 s |    1.00 us |        -
                    p50       0 s |    1.00 us |        -
                    p99       0 s |    1.00 us |        -

mean phases              mean =  background +  queue +  processing +  reply
READ         recorded   67.8 us             -     12.0          40.0      -
             simulated  70.1 us             0     12.3          42.4   15.4
)");
}

TEST_CASE("no line of a report passes 80 columns", "[report]") {
    Result r = replayed();
    CHECK(widest_line(text(r)) <= 80);
    r.stations.push_back({std::string(200, 's'), 1234.5, 1e6, 1e4, 1e-12});
    r.operations.emplace_back(std::string(60, 'o'), Operation{12'345'678'901, 1, Latency{}});
    r.requests.emplace_back(
        std::string(60, 'r'),
        fusesim::report::Request{
            1, 1, 1, Latency{12'345, 1e5, 1e5, 1e5, 1e5, 1e5}, Phases{12'345, 0, 0, 0}});
    r.comparison->requests.emplace_back(
        std::string(60, 'c'),
        Compared{{12'345'678, 12'345, 1, 1, Phases{12'345, 0, 0, 0}}, {1, 0, 0, 0, {}}});
    r.bottleneck->sentence = "word " + std::string(70, 'x') + " and some more words that follow it";
    CHECK(widest_line(text(r)) <= 80);
}

TEST_CASE("the busiest station is the bottleneck, and says whether it limits anything",
          "[report]") {
    CHECK_FALSE(busiest({}));
    const auto idle = busiest({{"a", 0.2, 0, 0, 0}, {"b", 0.3, 0, 0, 0}, {"c", 0.3, 0, 0, 0}});
    REQUIRE(idle);
    CHECK(idle->station == "b");
    CHECK_THAT(idle->sentence, Catch::StartsWith("Nothing is saturated: the busiest station, b,"));
}

TEST_CASE("the JSON of a run has the agreed keys in SI units", "[report]") {
    const Json json = to_json(example());
    std::vector<std::string> keys;
    for (const auto& [key, value] : json.items()) {
        keys.push_back(key);
    }
    CHECK(keys == std::vector<std::string>{"schema_version",
                                           "fusesim",
                                           "source",
                                           "seed",
                                           "config",
                                           "window",
                                           "throughput",
                                           "operations",
                                           "requests",
                                           "stations",
                                           "bottleneck",
                                           "cpu",
                                           "memory"});
    CHECK(json["schema_version"] == 1);
    CHECK(json["source"] == "simulated");
    CHECK(json["window"].dump() == R"({"warm_up_s":1.0,"duration_s":10.0})");
    CHECK(json["throughput"]["ci95"]["ops_per_s"]["low"] == 14'700);
    CHECK(json["operations"]["read"].dump() ==
          R"({"count":147470,"per_s":14747.0,"latency_s":{"mean":6.7808e-05,"p50":6.7616e-05,)"
          R"("p95":7e-05,"p99":8.04e-05,"p999":9.5e-05,"max":0.0012}})");
    CHECK(json["requests"]["READ"]["phases_s"].dump() ==
          R"({"background":0.0,"queue":1.234e-05,"processing":4.006e-05,"reply":1.5408e-05})");
    CHECK(json["requests"]["FORGET"].dump() == R"({"count":12,"bytes_in":672,"bytes_out":0})");
    CHECK(json["stations"][1].dump() == R"({"name":"worker 0","utilisation":0.973,)"
                                        R"("queue_length":2.25,"waiting_s":0.000153,)"
                                        R"("service_s":6.6e-05})");
    CHECK(json["bottleneck"]["station"] == "worker 0");
    CHECK(json["cpu"]["daemon_s"] == 6.5);
    CHECK(json["memory"]["requests_peak_bytes"] == 1536);
}

TEST_CASE("what the simulation itself cost is reported only if it was asked for", "[report]") {
    Result r = example();
    CHECK_FALSE(to_json(r).contains("simulator"));
    r.simulator = Simulator{147'470, 900'000, 0.5, 294'940, 10 << 20};
    CHECK(to_json(r)["simulator"].dump() ==
          R"({"requests":147470,"events":900000,"cpu_s":0.5,"requests_per_cpu_s":294940.0,)"
          R"("peak_rss_bytes":10485760})");
    CHECK_THAT(text(r),
               Catch::Contains("simulator: 147470 requests, 900000 events, 500 ms of CPU"));
}

TEST_CASE("a comparison carries both sides and the relative errors", "[report]") {
    const Json json = to_json(replayed())["comparison"];
    CHECK(json["trace"] == "traces/sshfs.fst");
    CHECK(json["mode"] == "think");
    const Json& read = json["requests"]["READ"];
    CHECK(read["recorded"]["phases_s"].dump() == R"({"queue":1.2e-05,"processing":4e-05})");
    CHECK(read["simulated"]["count"] == 100);
    CHECK(read["error"]["mean"].get<double>() == Approx(2.3 / 67.8));
    CHECK(read["error"]["p99"].get<double>() == Approx(-0.1));
    CHECK(json["requests"]["LOOKUP"]["error"].empty());
}

TEST_CASE("the same result gives the same bytes, and reads back as itself", "[report]") {
    Result r = replayed();
    r.source = Source::measured;
    r.simulator = Simulator{1, 2, 3, 4, 5};
    const std::string bytes = json_text(r);
    CHECK(bytes == json_text(r));
    CHECK(json_text(from_json(Json::parse(bytes), "r.json")) == bytes);
    CHECK(text(from_json(Json::parse(bytes), "r.json")) == text(r));
}

TEST_CASE("a result that contradicts itself is a bug", "[report]") {
    Result r = example();
    r.requests[0].second.phases->queue = 13e-6;
    CHECK_THROWS_AS(to_json(r), std::logic_error);
    CHECK_THROWS_WITH(text(r), Catch::Contains("phases of requests.READ add up to"));
    r = example();
    r.requests[0].second.phases->queue.reset();
    CHECK_NOTHROW(text(r));
    r.requests[0].second.phases->reply = 50e-6;
    CHECK_THROWS_AS(text(r), std::logic_error);

    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    const auto rejects = [](auto change) {
        Result broken = replayed();
        broken.simulator = Simulator{};
        change(broken);
        CHECK_THROWS_WITH(to_json(broken), Catch::Contains("is not finite"));
    };
    rejects([&](Result& b) { b.duration_s = nan; });
    rejects([&](Result& b) { b.throughput.ops_per_s = infinity; });
    rejects([&](Result& b) { b.throughput.ci95[0].second.high = nan; });
    rejects([&](Result& b) { b.operations[0].second.per_s = nan; });
    rejects([&](Result& b) { b.operations[0].second.latency->p999 = infinity; });
    rejects([&](Result& b) { b.requests[0].second.latency->max = nan; });
    rejects([&](Result& b) { b.requests[0].second.phases->reply = nan; });
    rejects([&](Result& b) { b.stations[0].waiting_s = -infinity; });
    rejects([&](Result& b) { b.bottleneck->utilisation = nan; });
    rejects([&](Result& b) { b.cpu->kernel_s = nan; });
    rejects([&](Result& b) { b.memory[0].second = nan; });
    rejects([&](Result& b) { b.simulator->cpu_s = nan; });
    rejects([&](Result& b) { b.comparison->requests[0].second.simulated.p50 = nan; });
}

TEST_CASE("a result file that is wrong is an error that names the key", "[report]") {
    CHECK(result_complaint([](Json&) {}).empty());
    CHECK(result_complaint([](Json& j) { j.erase("seed"); }) ==
          "r.json: error: the result has no 'seed'\n  hint: is this a result file of fusesim?");
    CHECK(result_complaint([](Json& j) { j["schema_version"] = 2; }) ==
          "r.json: error: the result has schema_version 2\n"
          "  hint: this fusesim reads version 1");
    CHECK_THAT(result_complaint([](Json& j) { j["throughputs"] = 2; }),
               Catch::Contains("unknown key 'throughputs'") &&
                   Catch::Contains("did you mean 'throughput'?"));
    CHECK(result_complaint([](Json& j) { j["requests"]["READ"]["count"] = -1; }) ==
          "r.json: error: requests.READ.count must be a whole number from 0");
    CHECK(result_complaint([](Json& j) { j["operations"]["read"]["latency_s"]["p99"] = "x"; }) ==
          "r.json: error: operations.read.latency_s.p99 must be a number");
    CHECK(result_complaint([](Json& j) { j["window"]["duration_s"] = nullptr; }) ==
          "r.json: error: window.duration_s must be a number");
    CHECK(result_complaint([](Json& j) { j["stations"] = 1; }) ==
          "r.json: error: stations must be a list");
    CHECK(result_complaint([](Json& j) { j["stations"][1]["name"] = 1; }) ==
          "r.json: error: stations[1].name must be a text");
    CHECK(result_complaint([](Json& j) { j["config"] = 1; }) ==
          "r.json: error: config must be an object");
    CHECK(result_complaint([](Json& j) { j["memory"]["x"] = "1"; }) ==
          "r.json: error: memory.x must be a number");
    CHECK(result_complaint([](Json& j) { j["source"] = "guessed"; }) ==
          "r.json: error: source must be simulated or measured");
    CHECK(result_complaint([](Json& j) { j["requests"]["READ"]["phases_s"]["queue"] = 1.0; }) ==
          "r.json: error: requests.READ.phases_s do not add up to the mean latency");
    CHECK_THAT(result_complaint([](Json& j) { j = Json::array(); }),
               Catch::Contains("the result must be an object"));
}

TEST_CASE("a file that is no JSON is an error with its byte", "[report]") {
    CHECK(load_complaint("{\"a\": }") ==
          "r.json:byte 6: error: not JSON\n  hint: result files are written by fusesim run --json");
    CHECK_THAT(load_complaint(""), Catch::StartsWith("r.json:byte 0: error: not JSON"));
    CHECK_THAT(load_complaint("\xff\xfe"), Catch::StartsWith("r.json:byte 0: error: not JSON"));
    CHECK_THAT(load_complaint("{\"a\": 1e999}"), Catch::StartsWith("r.json: error: "));
    CHECK(load_complaint(std::string(100'000, '[')) ==
          "r.json: error: more than 60 levels inside each other");
    const std::string whole = json_text(replayed());
    CHECK(load_complaint(whole).empty());
    // A file that was cut short never passes for a whole one.
    for (std::size_t cut = 1; cut + 2 < whole.size(); cut += 97) {
        CHECK_THAT(load_complaint(whole.substr(0, cut)), Catch::StartsWith("r.json:byte "));
    }
    CHECK_THROWS_WITH(load("no/such.json"),
                      "no/such.json: error: cannot read 'no/such.json': No such file or directory");
}

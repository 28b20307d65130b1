#include "config/map.h"

#include <catch2/catch.hpp>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace fusesim;
using namespace fusesim::config::literals;
using namespace fusesim::sim::literals;

namespace shop {

enum class Mode { timed, think };

struct Ssd {
    unsigned channels = 8;
    sim::Time read = 80_us;
};

struct Hdd {
    unsigned rpm = 7200;
    sim::Time read = 4_ms;
};

struct Cost {
    sim::Time base = 1_us;
};

struct Queue {
    unsigned depth = 12;
    unsigned threshold = 9;
    config::Bytes max_write = 128_KiB;
    bool splice = false;
    std::optional<unsigned> limit;
    std::variant<Ssd, Hdd> device;
};

struct Scenario {
    unsigned version = 1;
    std::string name = "plain";
    Mode mode = Mode::think;
    config::File trace;
    config::Percent error{0.02};
    config::Rate rate{50'000};
    std::vector<unsigned> depths{1, 2};
    std::vector<std::pair<std::string, std::vector<std::string>>> sweep;
    Queue mount;
    std::map<std::string, Cost> costs;
    std::vector<Cost> steps;
    std::optional<Cost> extra;
};

void bind(config::Map& map, Ssd& c) {
    map.field("channels", c.channels, 1, 64, "flash channels");
    map.field("read", c.read, 1_ns, 1_s, "time of one page read");
}

void bind(config::Map& map, Hdd& c) {
    map.field("rpm", c.rpm, 1000, 15'000, "turns a minute");
    map.field("read", c.read, 1_ns, 10_s, "time of one sector read");
}

void bind(config::Map& map, Cost& c) {
    map.field("base", c.base, 0_s, 1_s, "cost without bytes");
}

void bind(config::Map& map, Queue& c) {
    map.field("depth", c.depth, 1, 65'535, "requests in flight");
    map.field("threshold", c.threshold, 1, 65'535, "congestion");
    map.field("max_write", c.max_write, 4_KiB, 1_MiB, "largest write");
    map.field("splice", c.splice, "move pages");
    map.field("limit", c.limit, 1, 9, "most of something");
    map.choice("kind", c.device, {"ssd", "hdd"}, "what stores the data");
    map.check(c.threshold <= c.depth, "threshold", "must not exceed depth");
}

void bind(config::Map& map, Scenario& c) {
    map.field("version", c.version, 1, 1, "of this format");
    map.field("name", c.name, "title");
    map.field("mode", c.mode, {{"timed", Mode::timed}, {"think", Mode::think}}, "when to issue");
    map.field("trace", c.trace, "what to replay");
    map.field("error", c.error, "wanted");
    map.field("rate", c.rate, "arrivals");
    map.field("depths", c.depths, 1, 100, "queue depths");
    map.field("sweep", c.sweep, "values to try");
    map.section("mount", c.mount, "the mount");
    map.section("costs", c.costs, "cost by opcode");
    map.section("steps", c.steps, "one after the other");
    map.section("extra", c.extra, "left out as a rule");
}

}  // namespace shop

namespace {

using shop::Scenario;

Scenario read(const std::string& text, std::vector<std::string> overrides = {}) {
    config::LoadOptions options;
    options.overrides = std::move(overrides);
    return config::read<Scenario>(config::Document::parse(text, "s.yaml", options));
}

/// All that is wrong with a text, as the user sees it; "" if nothing is.
std::string map_complaint(const std::string& text, std::vector<std::string> overrides = {}) {
    try {
        read(text, std::move(overrides));
    } catch (const config::Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("settings that are not written keep their defaults", "[config]") {
    const Scenario s = read("");
    CHECK(s.mount.depth == 12);
    CHECK(s.mount.max_write == 128_KiB);
    CHECK(std::get<shop::Ssd>(s.mount.device).read == 80_us);
    CHECK(s.depths == std::vector<unsigned>{1, 2});
    CHECK_FALSE(s.extra);
}

TEST_CASE("settings of every type are read with their units", "[config]") {
    const Scenario s = read(R"(
version: 1
name: a name
mode: timed
trace: sub/x.trace
error: 5 %
rate: 3 kiops
depths: [4, 8]
sweep: {mount.depth: [12, 64], b: [x]}
mount:
  depth: 64
  max_write: 1M
  splice: true
  limit: 3
  kind: hdd
  rpm: 5400
costs:
  READ: {base: 4us}
  WRITE:
steps: [{base: 1 ms}, {}]
extra: {base: 7 ns}
)");
    CHECK(s.name == "a name");
    CHECK(s.mode == shop::Mode::timed);
    CHECK(s.trace.written == "sub/x.trace");
    CHECK(s.trace.path == "sub/x.trace");
    CHECK(s.error.fraction == 0.05);
    CHECK(s.rate.per_second == 3000);
    CHECK(s.depths == std::vector<unsigned>{4, 8});
    REQUIRE(s.sweep.size() == 2);
    CHECK(s.sweep[0].first == "mount.depth");
    CHECK(s.sweep[0].second == std::vector<std::string>{"12", "64"});
    CHECK(s.mount.depth == 64);
    CHECK(s.mount.max_write == 1_MiB);
    CHECK(s.mount.splice);
    CHECK(s.mount.limit == 3u);
    CHECK(std::get<shop::Hdd>(s.mount.device).rpm == 5400);
    CHECK(s.costs.at("READ").base == 4_us);
    CHECK(s.costs.at("WRITE").base == 1_us);
    REQUIRE(s.steps.size() == 2);
    CHECK(s.steps[0].base == 1_ms);
    REQUIRE(s.extra);
    CHECK(s.extra->base == 7_ns);
}

TEST_CASE("a file is looked for beside the file that names it", "[config]") {
    const auto document = config::Document::parse("trace: ../t/x.trace", "configs/s.yaml");
    const auto s = config::read<Scenario>(document);
    CHECK(s.trace.written == "../t/x.trace");
    CHECK(s.trace.path == "t/x.trace");
}

TEST_CASE("an unknown key is an error with the nearest key", "[config]") {
    CHECK(map_complaint("mount:\n  dept: 3\n") ==
          "s.yaml:2:3: error: unknown key 'dept' in mount\n"
          "  2 |   dept: 3\n"
          "    |   ^\n"
          "  hint: did you mean 'depth'?");
}

TEST_CASE("an unknown key that exists elsewhere is sent there", "[config]") {
    CHECK_THAT(map_complaint("max_write: 4k"), Catch::Contains("did you mean 'mount.max_write'?"));
    CHECK_THAT(map_complaint("mount: {rpm: 7200}"), Catch::Contains("'rpm' belongs to kind: hdd"));
    CHECK_THAT(map_complaint("mount: {kind: hdd, channels: 1}"),
               Catch::Contains("'channels' belongs to kind: ssd"));
    CHECK_THAT(map_complaint("extra: {zzzzzz: 1}"), Catch::Contains("hint: keys here are base"));
}

TEST_CASE("a value outside its range is an error that names the range", "[config]") {
    CHECK(map_complaint("mount:\n  depth: 0\n") ==
          "s.yaml:2:10: error: mount.depth = '0' is outside 1..65535\n"
          "  2 |   depth: 0\n"
          "    |          ^");
    CHECK_THAT(map_complaint("mount: {max_write: 2 MiB}"),
               Catch::Contains("'2 MiB' is outside 4 KiB..1 MiB"));
    CHECK_THAT(map_complaint("depths: [1, 101]"),
               Catch::Contains("s.yaml:1:13: error: depths[1] = '101' is outside 1..100"));
}

TEST_CASE("a wrong unit is an error that names a right one", "[config]") {
    CHECK(map_complaint("extra: {base: 5}") ==
          "s.yaml:1:15: error: extra.base = '5' has no unit\n"
          "  1 | extra: {base: 5}\n"
          "    |               ^\n"
          "  hint: write 5 us, 5 ms or 5 s");
    CHECK_THAT(map_complaint("extra: {base: 5 KiB}"), Catch::Contains("unknown unit 'KiB'"));
    CHECK_THAT(map_complaint("mount: {max_write: 4kB}"),
               Catch::Contains("ambiguous unit 'kB'") &&
                   Catch::Contains("hint: write KiB: sizes are powers of 1024"));
}

TEST_CASE("a value of the wrong type is an error", "[config]") {
    CHECK_THAT(map_complaint("mount: 3"), Catch::Contains("mount must be a map, not '3'"));
    CHECK_THAT(map_complaint("mount: {depth: [1]}"),
               Catch::Contains("mount.depth must be a number, not a list"));
    CHECK_THAT(
        map_complaint("depths: 3"),
        Catch::Contains("depths must be a list, not '3'") && Catch::Contains("hint: write [3]"));
    CHECK_THAT(map_complaint("mount: {splice: yes}"),
               Catch::Contains("mount.splice = 'yes' is neither true nor false"));
    CHECK_THAT(map_complaint("name:"), Catch::Contains("name must be a text, not nothing"));
    CHECK_THAT(map_complaint("costs: [1]"), Catch::Contains("costs must be a map, not a list"));
    CHECK_THAT(map_complaint("costs: {READ: 1}"),
               Catch::Contains("costs.READ must be a map, not '1'"));
    CHECK_THAT(map_complaint("steps: [1]"), Catch::Contains("steps[0] must be a map, not '1'"));
    CHECK_THAT(map_complaint("sweep: {a: b}"), Catch::Contains("sweep.a must be a list, not 'b'"));
    CHECK_THAT(map_complaint("[1]"),
               Catch::Contains("a configuration is a map of keys, not a list"));
    CHECK_THAT(map_complaint("word"), Catch::Contains("not 'word'"));
}

TEST_CASE("a word that is not in the table is an error with all words", "[config]") {
    CHECK_THAT(map_complaint("mode: thnk"),
               Catch::Contains("mode = 'thnk' is not one of timed, think") &&
                   Catch::Contains("did you mean 'think'?"));
    CHECK_THAT(map_complaint("mode: [think]"),
               Catch::Contains("mode must be one of timed, think, not a list"));
    // Which keys a wrong kind would allow is anybody's guess: only the kind is reported.
    CHECK(map_complaint("mount: {kind: tape, reels: 2}") ==
          "s.yaml:1:15: error: mount.kind = 'tape' is not one of ssd, hdd\n"
          "  1 | mount: {kind: tape, reels: 2}\n"
          "    |               ^");
}

TEST_CASE("a rule between settings is reported at its key", "[config]") {
    CHECK_THAT(map_complaint("mount: {depth: 4}"),
               Catch::Contains("s.yaml:1:8: error: mount.threshold must not exceed depth"));
    CHECK_THAT(map_complaint("mount: {depth: 4, threshold: 5}"), Catch::Contains("s.yaml:1:30"));
    CHECK_THAT(map_complaint("mount: {depth: 0}"), !Catch::Contains("must not exceed"));
}

TEST_CASE("all problems are reported together, in the order of the file", "[config]") {
    const std::string text = map_complaint("nam: x\nmount:\n  depth: 0\nmode: no\n");
    const auto first = text.find("s.yaml:1:1: error: unknown key 'nam'");
    const auto second = text.find("s.yaml:3:10: error: mount.depth");
    const auto third = text.find("s.yaml:4:7: error: mode");
    REQUIRE(third != std::string::npos);
    CHECK(first == 0);
    CHECK(first < second);
    CHECK(second < third);
}

TEST_CASE("of many problems the first twenty are shown and the others counted", "[config]") {
    std::string text;
    for (int i = 0; i < 33; ++i) {
        text += "zz" + std::to_string(i) + ": 1\n";
    }
    const std::string all = map_complaint(text);
    CHECK_THAT(all,
               Catch::Contains("'zz19'") && !Catch::Contains("'zz20'") &&
                   Catch::EndsWith("... and 13 more errors"));
}

TEST_CASE("an override has a place and the last word", "[config]") {
    const Scenario s = read("mount: {depth: 3, threshold: 1}",
                            {"mount.depth=64",
                             "mount.kind=hdd",
                             "depths=[7]",
                             "steps=[{}, {}]",
                             "steps.1.base=5 us",
                             "extra.base=2us"});
    CHECK(s.mount.depth == 64);
    CHECK(s.depths == std::vector<unsigned>{7});
    CHECK(s.steps[1].base == 5_us);
    CHECK(s.extra->base == 2_us);
    CHECK(std::holds_alternative<shop::Hdd>(s.mount.device));

    CHECK(map_complaint("", {"mount.splice=true", "mount.depth=none"}) ==
          "command line:2:1: error: mount.depth = 'none' is not a number\n"
          "  2 | mount.depth=none\n"
          "    | ^");
    CHECK_THAT(map_complaint("", {"mount={dept: 5}"}),
               Catch::StartsWith("command line:1:8: error: unknown key 'dept' in mount"));
}

TEST_CASE("the effective configuration reads back as itself", "[config]") {
    const Scenario s = read(
        "mount: {kind: hdd, max_write: 4k}\nsteps: [{base: 1500 us}]\n"
        "costs: {READ: {}}\nsweep: {b: [1], a: [2]}\nerror: 7 %\n");
    const config::Json first = config::echo(s);
    CHECK(first["mount"]["max_write"] == "4 KiB");
    CHECK(first["steps"][0]["base"] == "1.5 ms");
    CHECK(first["mount"]["kind"] == "hdd");
    CHECK(first["error"] == "7 %");
    CHECK_FALSE(first.contains("extra"));
    const config::Json second = config::echo(read(first.dump(2)));
    CHECK(first.dump() == second.dump());
    CHECK(config::fingerprint(first) == config::fingerprint(second));
    CHECK(config::fingerprint(first) != config::fingerprint(config::echo(Scenario())));
    CHECK(config::fingerprint(first).size() == 16);
}

TEST_CASE("each setting is described with type, default, range and help", "[config]") {
    const auto settings = config::describe<Scenario>();
    CHECK(config::describe_text(settings, "mount.depth") ==
          "mount.depth: number, default 12, 1..65535\n    requests in flight\n");
    CHECK(config::describe_text(settings, "mount.rpm") ==
          "mount.rpm: number, default 7200, 1000..15000, only with kind: hdd\n"
          "    turns a minute\n");
    CHECK_THAT(config::describe_text(settings, "mount"),
               Catch::StartsWith("mount: map\n    the mount\n") &&
                   Catch::Contains("mount.limit: number, optional, default none, 1..9") &&
                   !Catch::Contains("steps"));
    CHECK_THAT(config::describe_text(settings, "steps"), Catch::Contains("steps[].base"));
    CHECK_THAT(config::describe_text(settings, "costs"), Catch::Contains("costs.*.base"));
    CHECK_THROWS_WITH(config::describe_text(settings, "mount.dept"),
                      Catch::Contains("there is no setting 'mount.dept'") &&
                          Catch::Contains("did you mean 'mount.depth'?"));
    CHECK_THROWS_WITH(config::describe_text(settings, "depth"),
                      Catch::Contains("did you mean 'depths'?"));
    CHECK_THROWS_WITH(config::describe_text(settings, "threshold"),
                      Catch::Contains("did you mean 'mount.threshold'?"));
}

TEST_CASE("the reference lists every setting once, by section", "[config]") {
    const std::string text = config::reference_text(config::describe<Scenario>());
    CHECK_THAT(text,
               Catch::Contains("## mount\n\nthe mount\n\n| key | type |") &&
                   Catch::Contains("| max_write | size | 128 KiB | 4 KiB..1 MiB |") &&
                   Catch::Contains("(only with kind: hdd)"));
}

TEST_CASE("the schema knows the types, the words and the keys of each kind", "[config]") {
    const config::Json schema = config::schema<Scenario>();
    CHECK(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
    CHECK(schema["additionalProperties"] == false);
    const config::Json& mount = schema["properties"]["mount"];
    CHECK(mount["properties"]["depth"]["minimum"] == 1);
    CHECK(mount["properties"]["depth"]["default"] == 12);
    CHECK(mount["properties"]["kind"]["enum"] == config::Json::array({"ssd", "hdd"}));
    CHECK(mount["properties"]["from"]["type"] == "string");
    REQUIRE(mount["allOf"].size() == 2);
    CHECK(mount["allOf"][0]["if"]["properties"]["kind"]["const"] == "ssd");
    CHECK_FALSE(mount["allOf"][0]["if"].contains("required"));
    CHECK(mount["allOf"][0]["then"]["properties"] == config::Json{{"rpm", false}});
    CHECK(mount["allOf"][1]["if"]["required"] == config::Json::array({"kind"}));
    CHECK(mount["allOf"][1]["then"]["properties"] == config::Json{{"channels", false}});
    CHECK(schema["properties"]["steps"]["items"]["properties"].contains("base"));
    CHECK(schema["properties"]["costs"]["additionalProperties"]["properties"].contains("base"));
}

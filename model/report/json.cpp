#include "config/error.h"
#include "config/nearest.h"
#include "report/report.h"
#include "report/slo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string_view>

namespace fusesim::report {

namespace {

constexpr unsigned schema_version = 1;

Json json_of(const Latency& latency) {
    return {{"mean", latency.mean},
            {"p50", latency.p50},
            {"p95", latency.p95},
            {"p99", latency.p99},
            {"p999", latency.p999},
            {"max", latency.max}};
}

Json json_of(const Phases& phases) {
    Json json = Json::object();
    const auto add = [&](const char* name, const std::optional<double>& phase) {
        if (phase) {
            json[name] = *phase;
        }
    };
    add("background", phases.background);
    add("queue", phases.queue);
    add("processing", phases.processing);
    add("reply", phases.reply);
    return json;
}

Json json_of(const Throughput& throughput) {
    Json intervals = Json::object();
    for (const auto& [name, interval] : throughput.ci95) {
        intervals[name] = {{"low", interval.low}, {"high", interval.high}};
    }
    return {{"ops_per_s", throughput.ops_per_s},
            {"read_bytes_per_s", throughput.read_bytes_per_s},
            {"write_bytes_per_s", throughput.write_bytes_per_s},
            {"ci95", std::move(intervals)}};
}

Json json_of(const Operation& operation) {
    Json json = {{"count", operation.count}, {"per_s", operation.per_s}};
    if (operation.latency) {
        json["latency_s"] = json_of(*operation.latency);
    }
    return json;
}

Json json_of(const Request& request) {
    Json json = {
        {"count", request.count}, {"bytes_in", request.bytes_in}, {"bytes_out", request.bytes_out}};
    if (request.latency) {
        json["latency_s"] = json_of(*request.latency);
    }
    if (request.phases) {
        json["phases_s"] = json_of(*request.phases);
    }
    return json;
}

Json json_of(const Station& station) {
    return {{"name", station.name},
            {"utilisation", station.utilisation},
            {"queue_length", station.queue_length},
            {"waiting_s", station.waiting_s},
            {"service_s", station.service_s}};
}

Json json_of(const Fault& fault) {
    Json json = {{"kind", fault.kind},
                 {"at_s", fault.at_s},
                 {"waiting_before", fault.waiting_before},
                 {"waiting_peak", fault.waiting_peak},
                 {"failed_operations", fault.failed_operations}};
    if (fault.lasts_s) {
        json["for_s"] = *fault.lasts_s;
    }
    if (fault.drain_s) {
        json["drain_s"] = *fault.drain_s;
    }
    return json;
}

Json json_of(const Answers& answers) {
    return {{"answered", answers.answered}, {"passed", answers.passed}};
}

Json json_of(const Side& side) {
    Json json = {{"count", side.count},
                 {"latency_s", {{"mean", side.mean}, {"p50", side.p50}, {"p99", side.p99}}}};
    if (side.phases) {
        json["phases_s"] = json_of(*side.phases);
    }
    return json;
}

Json json_of(const Compared& compared) {
    Json error = Json::object();
    const auto add = [&](const char* name, double Side::*member) {
        if (const auto e = relative_error(compared.recorded.*member, compared.simulated.*member)) {
            error[name] = *e;
        }
    };
    add("mean", &Side::mean);
    add("p50", &Side::p50);
    add("p99", &Side::p99);
    return {{"recorded", json_of(compared.recorded)},
            {"simulated", json_of(compared.simulated)},
            {"error", std::move(error)}};
}

template <class T>
Json json_of(const Named<T>& named) {
    Json json = Json::object();
    for (const auto& [name, value] : named) {
        json[name] = json_of(value);
    }
    return json;
}

/// A part of a result file that knows its path, so that whatever is wrong can be named.
class Reader {
  public:
    Reader(const Json& json, const std::string& file, std::string path = "")
        : json_(json), file_(file), path_(std::move(path)) {}

    [[noreturn]] void fail(const std::string& complaint, const std::string& hint = "") const {
        throw config::Error(config::Place{file_},
                            (path_.empty() ? "the result" : config::shown(path_)) + " " + complaint,
                            hint);
    }

    /// Fails unless this is an object of these keys only.
    void expect_keys(std::initializer_list<std::string_view> keys) const {
        for (const auto& [key, value] : object().items()) {
            const std::vector<std::string> known(keys.begin(), keys.end());
            if (std::find(known.begin(), known.end(), key) == known.end()) {
                const std::string near = config::nearest(key, known);
                fail(fmt::format("has the unknown key '{}'", config::shown(key)),
                     near.empty() ? "" : fmt::format("did you mean '{}'?", near));
            }
        }
    }

    bool has(const std::string& key) const { return object().contains(key); }

    Reader at(const std::string& key) const {
        if (!has(key)) {
            fail(fmt::format("has no '{}'", key), "is this a result file of fusesim?");
        }
        return {json_.at(key), file_, path_.empty() ? key : path_ + "." + key};
    }

    double number(const std::string& key) const {
        const Reader value = at(key);
        if (!value.json_.is_number()) {
            value.fail("must be a number");
        }
        const auto number = value.json_.get<double>();
        if (!std::isfinite(number)) {
            value.fail("must be a finite number");
        }
        return number;
    }

    std::uint64_t count(const std::string& key) const {
        const Reader value = at(key);
        const Json& json = value.json_;
        if (!json.is_number_integer() ||
            (!json.is_number_unsigned() && json.get<std::int64_t>() < 0)) {
            value.fail("must be a whole number from 0");
        }
        return value.json_.get<std::uint64_t>();
    }

    std::string word(const std::string& key) const {
        const Reader value = at(key);
        if (!value.json_.is_string()) {
            value.fail("must be a text");
        }
        return value.json_.get<std::string>();
    }

    bool truth(const std::string& key) const {
        const Reader value = at(key);
        if (!value.json_.is_boolean()) {
            value.fail("must be true or false");
        }
        return value.json_.get<bool>();
    }

    /// Calls `read` with each member of this object.
    template <class T, class Read>
    Named<T> each(Read read) const {
        Named<T> result;
        for (const auto& [key, value] : object().items()) {
            result.emplace_back(key, read(at(key)));
        }
        return result;
    }

    template <class T, class Read>
    std::vector<T> items(Read read) const {
        if (!json_.is_array()) {
            fail("must be a list");
        }
        std::vector<T> result;
        for (std::size_t i = 0; i < json_.size(); ++i) {
            result.push_back(read(Reader(json_[i], file_, fmt::format("{}[{}]", path_, i))));
        }
        return result;
    }

    const Json& object() const {
        if (!json_.is_object()) {
            fail("must be an object");
        }
        return json_;
    }

    double value() const {
        if (!json_.is_number() || !std::isfinite(json_.get<double>())) {
            fail("must be a number");
        }
        return json_.get<double>();
    }

  private:
    const Json& json_;
    const std::string& file_;
    std::string path_;
};

Latency read_latency(const Reader& r) {
    r.expect_keys({"mean", "p50", "p95", "p99", "p999", "max"});
    return {r.number("mean"),
            r.number("p50"),
            r.number("p95"),
            r.number("p99"),
            r.number("p999"),
            r.number("max")};
}

Phases read_phases(const Reader& r) {
    r.expect_keys({"background", "queue", "processing", "reply"});
    const auto phase = [&](const char* name) {
        return r.has(name) ? std::optional(r.number(name)) : std::nullopt;
    };
    return {phase("background"), phase("queue"), phase("processing"), phase("reply")};
}

/// Phases that contradict their mean are an error of the file here, not a bug.
std::optional<Phases> read_phases_of(const Reader& r, double mean) {
    if (!r.has("phases_s")) {
        return std::nullopt;
    }
    const Phases phases = read_phases(r.at("phases_s"));
    const double slack = 1e-6 * std::abs(mean) + 1e-12;
    const double missing = mean - phases.sum();
    if (missing < -slack || (phases.complete() && missing > slack)) {
        r.at("phases_s").fail("do not add up to the mean latency");
    }
    return phases;
}

Throughput read_throughput(const Reader& r) {
    r.expect_keys({"ops_per_s", "read_bytes_per_s", "write_bytes_per_s", "ci95"});
    return {r.number("ops_per_s"),
            r.number("read_bytes_per_s"),
            r.number("write_bytes_per_s"),
            r.at("ci95").each<Interval>([](const Reader& one) {
                one.expect_keys({"low", "high"});
                return Interval{one.number("low"), one.number("high")};
            })};
}

Operation read_operation(const Reader& r) {
    r.expect_keys({"count", "per_s", "latency_s"});
    Operation operation{r.count("count"), r.number("per_s"), std::nullopt};
    if (r.has("latency_s")) {
        operation.latency = read_latency(r.at("latency_s"));
    }
    return operation;
}

Request read_request(const Reader& r) {
    r.expect_keys({"count", "bytes_in", "bytes_out", "latency_s", "phases_s"});
    Request request{r.count("count"), r.count("bytes_in"), r.count("bytes_out"), {}, {}};
    if (r.has("latency_s")) {
        request.latency = read_latency(r.at("latency_s"));
    }
    request.phases = read_phases_of(r, request.latency ? request.latency->mean : 0);
    return request;
}

Station read_station(const Reader& r) {
    r.expect_keys({"name", "utilisation", "queue_length", "waiting_s", "service_s"});
    return {r.word("name"),
            r.number("utilisation"),
            r.number("queue_length"),
            r.number("waiting_s"),
            r.number("service_s")};
}

Side read_side(const Reader& r) {
    r.expect_keys({"count", "latency_s", "phases_s"});
    const Reader latency = r.at("latency_s");
    latency.expect_keys({"mean", "p50", "p99"});
    Side side{r.count("count"),
              latency.number("mean"),
              latency.number("p50"),
              latency.number("p99"),
              std::nullopt};
    side.phases = read_phases_of(r, side.mean);
    return side;
}

Comparison read_comparison(const Reader& r) {
    r.expect_keys({"trace", "mode", "requests"});
    return {r.word("trace"), r.word("mode"), r.at("requests").each<Compared>([](const Reader& one) {
                one.expect_keys({"recorded", "simulated", "error"});
                return Compared{read_side(one.at("recorded")), read_side(one.at("simulated"))};
            })};
}

SloVerdict read_verdict(const Reader& r) {
    r.expect_keys({"slo", "value", "met"});
    SloVerdict verdict{r.word("slo"), r.number("value"), r.truth("met")};
    try {
        Slo::parse(verdict.slo);
    } catch (const config::Mismatch& mismatch) {
        r.at("slo").fail(mismatch.what(), mismatch.hint());
    }
    return verdict;
}

Fault read_fault(const Reader& r) {
    r.expect_keys({"kind",
                   "at_s",
                   "for_s",
                   "waiting_before",
                   "waiting_peak",
                   "drain_s",
                   "failed_operations"});
    const auto number_if = [&r](const char* name) {
        return r.has(name) ? std::optional(r.number(name)) : std::nullopt;
    };
    return {r.word("kind"),
            r.number("at_s"),
            number_if("for_s"),
            r.number("waiting_before"),
            r.number("waiting_peak"),
            number_if("drain_s"),
            r.count("failed_operations")};
}

void read_optional_parts(const Reader& r, Result& result) {
    if (r.has("bottleneck")) {
        const Reader part = r.at("bottleneck");
        part.expect_keys({"station", "utilisation", "sentence"});
        result.bottleneck = {
            part.word("station"), part.number("utilisation"), part.word("sentence")};
    }
    if (r.has("cpu")) {
        const Reader part = r.at("cpu");
        part.expect_keys(
            {"application_s", "daemon_s", "kernel_s", "daemon_kernel_s", "context_switches"});
        result.cpu = {part.number("application_s"),
                      part.number("daemon_s"),
                      part.number("kernel_s"),
                      part.has("daemon_kernel_s") ? part.number("daemon_kernel_s") : 0,
                      part.has("context_switches") ? part.number("context_switches") : 0};
    }
    if (r.has("simulator")) {
        const Reader part = r.at("simulator");
        part.expect_keys({"requests", "events", "cpu_s", "requests_per_cpu_s", "peak_rss_bytes"});
        result.simulator = {part.count("requests"),
                            part.count("events"),
                            part.number("cpu_s"),
                            part.number("requests_per_cpu_s"),
                            part.count("peak_rss_bytes")};
    }
    if (r.has("comparison")) {
        result.comparison = read_comparison(r.at("comparison"));
    }
    if (r.has("slo")) {
        result.slo = r.at("slo").items<SloVerdict>(read_verdict);
    }
    if (r.has("extfuse")) {
        result.extfuse = r.at("extfuse").each<Answers>([](const Reader& one) {
            one.expect_keys({"answered", "passed"});
            return Answers{one.count("answered"), one.count("passed")};
        });
    }
    if (r.has("faults")) {
        result.faults = r.at("faults").items<Fault>(read_fault);
    }
}

}  // namespace

Json to_json(const Result& result) {
    check(result);
    Json json = {{"schema_version", schema_version},
                 {"fusesim", result.version},
                 {"source", result.source == Source::simulated ? "simulated" : "measured"},
                 {"seed", result.seed},
                 {"config", result.config},
                 {"window", {{"warm_up_s", result.warm_up_s}, {"duration_s", result.duration_s}}},
                 {"throughput", json_of(result.throughput)},
                 {"operations", json_of(result.operations)},
                 {"requests", json_of(result.requests)},
                 {"stations", Json::array()}};
    for (const Station& station : result.stations) {
        json["stations"].push_back(json_of(station));
    }
    if (const auto& bottleneck = result.bottleneck) {
        json["bottleneck"] = {{"station", bottleneck->station},
                              {"utilisation", bottleneck->utilisation},
                              {"sentence", bottleneck->sentence}};
    }
    if (const auto& cpu = result.cpu) {
        json["cpu"] = {{"application_s", cpu->application_s},
                       {"daemon_s", cpu->daemon_s},
                       {"kernel_s", cpu->kernel_s},
                       {"daemon_kernel_s", cpu->daemon_kernel_s},
                       {"context_switches", cpu->context_switches}};
    }
    json["memory"] = Json::object();
    for (const auto& [name, value] : result.memory) {
        json["memory"][name] = value;
    }
    if (const auto& simulator = result.simulator) {
        json["simulator"] = {{"requests", simulator->requests},
                             {"events", simulator->events},
                             {"cpu_s", simulator->cpu_s},
                             {"requests_per_cpu_s", simulator->requests_per_cpu_s},
                             {"peak_rss_bytes", simulator->peak_rss_bytes}};
    }
    if (const auto& comparison = result.comparison) {
        json["comparison"] = {{"trace", comparison->trace},
                              {"mode", comparison->mode},
                              {"requests", json_of(comparison->requests)}};
    }
    for (const SloVerdict& one : result.slo) {
        json["slo"].push_back({{"slo", one.slo}, {"value", one.value}, {"met", one.met}});
    }
    for (const Fault& fault : result.faults) {
        json["faults"].push_back(json_of(fault));
    }
    if (!result.extfuse.empty()) {
        json["extfuse"] = json_of(result.extfuse);
    }
    if (!result.details.is_null()) {
        json["details"] = result.details;
    }
    return json;
}

std::string json_text(const Result& result) {
    return to_json(result).dump(2) + "\n";
}

Result from_json(const Json& json, const std::string& name) {
    const Reader r(json, name);
    if (const std::uint64_t version = r.count("schema_version"); version != schema_version) {
        r.fail(fmt::format("has schema_version {}", version),
               fmt::format("this fusesim reads version {}", schema_version));
    }
    r.expect_keys({"schema_version",
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
                   "memory",
                   "simulator",
                   "comparison",
                   "slo",
                   "faults",
                   "extfuse",
                   "details"});
    Result result;
    result.version = r.word("fusesim");
    const std::string source = r.word("source");
    if (source != "simulated" && source != "measured") {
        r.at("source").fail("must be simulated or measured");
    }
    result.source = source == "simulated" ? Source::simulated : Source::measured;
    result.seed = r.count("seed");
    result.config = r.at("config").object();
    const Reader window = r.at("window");
    window.expect_keys({"warm_up_s", "duration_s"});
    result.warm_up_s = window.number("warm_up_s");
    result.duration_s = window.number("duration_s");
    result.throughput = read_throughput(r.at("throughput"));
    result.operations = r.at("operations").each<Operation>(read_operation);
    result.requests = r.at("requests").each<Request>(read_request);
    result.stations = r.at("stations").items<Station>(read_station);
    if (r.has("memory")) {
        result.memory =
            r.at("memory").each<double>([](const Reader& value) { return value.value(); });
    }
    read_optional_parts(r, result);
    if (r.has("details")) {
        result.details = r.at("details").object();
    }
    return result;
}

Result load(const std::string& path) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::ostringstream content;
    if (file && file.peek() != std::ifstream::traits_type::eof()) {
        content << file.rdbuf();
    }
    if (!file && !file.eof()) {
        throw config::Error(config::Place{path},
                            fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
    }
    const std::string bytes = content.str();
    constexpr int deepest = 60;
    const auto guard = [&](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
        if (depth > deepest) {
            throw config::Error(config::Place{path}, "more than 60 levels inside each other");
        }
        return true;
    };
    try {
        return from_json(Json::parse(bytes, guard), path);
    } catch (const Json::parse_error& error) {
        config::Place place{path};
        place.offset = static_cast<std::int64_t>(error.byte == 0 ? 0 : error.byte - 1);
        throw config::Error(place, "not JSON", "result files are written by fusesim run --json");
    } catch (const Json::exception& error) {
        throw config::Error(config::Place{path}, std::string("not a result: ") + error.what());
    }
}

}  // namespace fusesim::report

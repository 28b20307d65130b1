#include "table.h"

#include "report/numbers.h"
#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace fusesim::sweep {

using config::Json;
using report::Latency;
using report::Result;

namespace {

/// What the result has most of: the calls, or in a replay the requests, whose latency is shown.
struct Main {
    std::string name;
    const Latency* latency = nullptr;
};

template <class Named>
void take_most(const Named& named, std::uint64_t& most, Main& main) {
    for (const auto& [name, one] : named) {
        if (one.latency && one.count > most) {
            most = one.count;
            main = {name, &*one.latency};
        }
    }
}

Main most_frequent(const Result& result) {
    Main main;
    std::uint64_t most = 0;
    take_most(result.operations, most, main);
    if (main.latency == nullptr) {
        take_most(result.requests, most, main);
    }
    return main;
}

/// The latency of what is called that in this result; null if there is none.
const Latency* latency_of(const Result& result, const std::string& name) {
    if (const report::Operation* operation = report::find(result.operations, name)) {
        return operation->latency ? &*operation->latency : nullptr;
    }
    const report::Request* request = report::find(result.requests, name);
    return request != nullptr && request->latency ? &*request->latency : nullptr;
}

std::string csv_quoted(const std::string& text) {
    if (text.find_first_of(",\"\n") == std::string::npos) {
        return text;
    }
    std::string out = "\"";
    for (const char c : text) {
        out += c;
        out += c == '"' ? "\"" : "";
    }
    return out + '"';
}

/// Keys as column heads: the last name alone where that tells them apart.
std::vector<std::string> heads(const Settings& settings) {
    std::vector<std::string> names;
    for (const auto& setting : settings) {
        names.push_back(setting.first.substr(setting.first.rfind('.') + 1));
    }
    std::vector<std::string> out;
    for (std::size_t i = 0; i < names.size(); ++i) {
        const bool alone = std::count(names.begin(), names.end(), names[i]) == 1;
        out.push_back(alone ? names[i] : settings[i].first);
    }
    return out;
}

/// Numbers and booleans as such, all else as text.
Json to_json(const std::string& value) {
    const Json parsed = Json::parse(value, nullptr, false);
    return parsed.is_number() || parsed.is_boolean() ? parsed : Json(value);
}

}  // namespace

std::string table(const std::vector<Point>& points) {
    if (points.empty()) {
        return "";
    }
    const std::string name = most_frequent(points.front().result).name;
    std::vector<std::string> header = heads(points.front().settings);
    const std::size_t left = header.size();
    for (const std::string& column : {std::string("ops/s"),
                                      std::string("+-"),
                                      std::string("rel."),
                                      name + " mean",
                                      std::string("p99"),
                                      std::string("busiest")}) {
        header.push_back(column);
    }
    report::Table out(header, left);
    const double first = points.front().result.throughput.ops_per_s;
    for (const Point& point : points) {
        std::vector<std::string> row;
        for (const auto& setting : point.settings) {
            row.push_back(setting.second);
        }
        const report::Throughput& throughput = point.result.throughput;
        row.push_back(report::rate_text(throughput.ops_per_s));
        const report::Interval* interval = report::find(throughput.ci95, "ops_per_s");
        row.push_back(
            interval != nullptr && throughput.ops_per_s > 0
                ? report::percent_text((interval->high - interval->low) / 2 / throughput.ops_per_s)
                : "");
        row.push_back(first > 0 ? fmt::format("{:.2f}", throughput.ops_per_s / first) : "");
        const Latency* const latency = latency_of(point.result, name);
        row.push_back(latency != nullptr ? report::time_text(latency->mean) : "");
        row.push_back(latency != nullptr ? report::time_text(latency->p99) : "");
        const auto& busiest = point.result.bottleneck;
        row.push_back(
            busiest
                ? fmt::format("{} {}", busiest->station, report::percent_text(busiest->utilisation))
                : "");
        out.add(row);
    }
    return out.text();
}

std::string csv(const std::vector<Point>& points) {
    if (points.empty()) {
        return "";
    }
    // Calls of all points, in the order in which they first appear.
    std::vector<std::string> calls;
    for (const Point& point : points) {
        for (const auto& operation : point.result.operations) {
            if (std::find(calls.begin(), calls.end(), operation.first) == calls.end()) {
                calls.push_back(operation.first);
            }
        }
    }
    std::string out;
    for (const auto& setting : points.front().settings) {
        out += csv_quoted(setting.first) + ",";
    }
    out += "ops_per_s,ops_per_s_low,ops_per_s_high,relative,read_bytes_per_s,write_bytes_per_s";
    for (const std::string& call : calls) {
        out += fmt::format(",{0}_mean_s,{0}_p50_s,{0}_p99_s,{0}_max_s", call);
    }
    out += ",bottleneck,utilisation\n";
    const double first = points.front().result.throughput.ops_per_s;
    for (const Point& point : points) {
        for (const auto& setting : point.settings) {
            out += csv_quoted(setting.second) + ",";
        }
        const report::Throughput& throughput = point.result.throughput;
        const report::Interval* interval = report::find(throughput.ci95, "ops_per_s");
        out += fmt::format("{},", throughput.ops_per_s);
        out += interval != nullptr ? fmt::format("{},{},", interval->low, interval->high) : ",,";
        out += first > 0 ? fmt::format("{}", throughput.ops_per_s / first) : "";
        out += fmt::format(",{},{}", throughput.read_bytes_per_s, throughput.write_bytes_per_s);
        for (const std::string& call : calls) {
            const Latency* const latency = latency_of(point.result, call);
            out +=
                latency != nullptr
                    ? fmt::format(
                          ",{},{},{},{}", latency->mean, latency->p50, latency->p99, latency->max)
                    : ",,,,";
        }
        const auto& busiest = point.result.bottleneck;
        out += busiest ? fmt::format(",{},{}\n", csv_quoted(busiest->station), busiest->utilisation)
                       : ",,\n";
    }
    return out;
}

std::string json_text(const std::vector<Point>& points) {
    Json out;
    out["schema_version"] = 1;
    out["points"] = Json::array();
    for (const Point& point : points) {
        Json one;
        one["set"] = Json::object();
        for (const auto& [key, value] : point.settings) {
            one["set"][key] = to_json(value);
        }
        one["result"] = report::to_json(point.result);
        out["points"].push_back(std::move(one));
    }
    return out.dump(2) + "\n";
}

}  // namespace fusesim::sweep

#include "report/export.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

namespace fusesim::report {

namespace {

std::int64_t fio_ns(double seconds) {
    return std::llround(seconds * 1e9);
}

/// fio's list, and where the distribution in the details holds more, more.
Json fio_percentiles(const Latency& latency, const Json& details, const std::string& name) {
    Json out = Json::object();
    const auto put = [&out](double share, double seconds) {
        out[fmt::format("{:.6f}", share * 100)] = fio_ns(seconds);
    };
    const Json::json_pointer place("/operations/" + name + "/distribution");
    if (details.is_object() && details.contains(place)) {
        const Json& distribution = details.at(place);
        for (std::size_t i = 0; i < distribution.at("share").size(); ++i) {
            const double share = distribution.at("share")[i].get<double>();
            if (share > 0 && share < 1) {
                put(share, distribution.at("latency_s").at(i).get<double>());
            }
        }
        return out;
    }
    put(0.50, latency.p50);
    put(0.95, latency.p95);
    put(0.99, latency.p99);
    put(0.999, latency.p999);
    return out;
}

/// A min is known only from a distribution; a deviation is not, and is left out.
Json fio_latency(const Operation* operation, const Json& details, const std::string& name) {
    Json out = {{"max", 0}, {"mean", 0.0}, {"N", 0}};
    if (operation == nullptr || !operation->latency) {
        return out;
    }
    const Latency& latency = *operation->latency;
    out["max"] = fio_ns(latency.max);
    out["mean"] = latency.mean * 1e9;
    out["N"] = operation->count;
    const Json::json_pointer place("/operations/" + name + "/distribution/latency_s/0");
    if (details.is_object() && details.contains(place)) {
        out["min"] = fio_ns(details.at(place).get<double>());
    }
    return out;
}

Json fio_direction(const Result& result, const std::string& name, double bytes_per_s) {
    const Operation* const operation = find(result.operations, name);
    Json latency = fio_latency(operation, result.details, name);
    Json out = {{"io_bytes", std::llround(bytes_per_s * result.duration_s)},
                {"io_kbytes", std::llround(bytes_per_s * result.duration_s) / 1024},
                {"bw_bytes", std::llround(bytes_per_s)},
                {"bw", std::llround(bytes_per_s) / 1024},
                {"iops", operation == nullptr ? 0.0 : operation->per_s},
                {"runtime", operation == nullptr ? 0 : std::llround(result.duration_s * 1e3)},
                {"total_ios", operation == nullptr ? 0 : operation->count},
                {"slat_ns", {{"min", 0}, {"max", 0}, {"mean", 0.0}, {"stddev", 0.0}, {"N", 0}}},
                {"clat_ns", latency},
                {"lat_ns", latency}};
    if (operation != nullptr && operation->latency) {
        out["clat_ns"]["percentile"] = fio_percentiles(*operation->latency, result.details, name);
    }
    return out;
}

}  // namespace

std::string fio_json(const Result& result) {
    Json job = {{"jobname", "fusesim"},
                {"groupid", 0},
                {"error", 0},
                {"elapsed", std::llround(std::ceil(result.warm_up_s + result.duration_s))},
                {"read", fio_direction(result, "read", result.throughput.read_bytes_per_s)},
                {"write", fio_direction(result, "write", result.throughput.write_bytes_per_s)},
                {"trim", fio_direction(result, "trim", 0)}};
    const Operation* const sync = find(result.operations, "fsync");
    job["sync"] = {{"total_ios", sync == nullptr ? 0 : sync->count},
                   {"lat_ns", fio_latency(sync, result.details, "fsync")}};
    if (result.cpu && result.duration_s > 0) {
        const double percent = 100 / result.duration_s;
        job["usr_cpu"] = result.cpu->application_s * percent;
        job["sys_cpu"] = (result.cpu->kernel_s - result.cpu->daemon_kernel_s) * percent;
    }
    return Json{{"fio version", "fusesim-" + result.version}, {"jobs", Json::array({job})}}.dump(
               2) +
           "\n";
}

}  // namespace fusesim::report

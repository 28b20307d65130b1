#include "report/result.h"

#include "report/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <stdexcept>

namespace fusesim::report {

namespace {

void ensure_finite(const std::string& where, std::initializer_list<double> numbers) {
    for (const double number : numbers) {
        if (!std::isfinite(number)) {
            throw std::logic_error("result: " + where + " is not finite");
        }
    }
}

void ensure_latency(const std::string& where, const std::optional<Latency>& latency) {
    if (latency) {
        const Latency& l = *latency;
        ensure_finite(where + ".latency_s", {l.mean, l.p50, l.p95, l.p99, l.p999, l.max});
    }
}

void ensure_phases(const std::string& where, const std::optional<Phases>& phases, double mean) {
    if (!phases) {
        return;
    }
    const double sum = phases->sum();
    ensure_finite(where + ".phases_s", {sum});
    // Sums of up to 1e9 doubles; a picosecond is the resolution of simulated time.
    const double slack = 1e-6 * std::abs(mean) + 1e-12;
    const double missing = mean - sum;
    if (missing < -slack || (phases->complete() && missing > slack)) {
        throw std::logic_error(fmt::format(
            "result: phases of {} add up to {} s, its mean latency is {} s", where, sum, mean));
    }
}

}  // namespace

std::optional<double> relative_error(double recorded, double simulated) {
    if (recorded == 0) {
        return std::nullopt;
    }
    return (simulated - recorded) / recorded;
}

std::optional<Bottleneck> busiest(const std::vector<Station>& stations) {
    const auto found =
        std::max_element(stations.begin(), stations.end(), [](const Station& a, const Station& b) {
            return a.utilisation < b.utilisation;
        });
    if (found == stations.end()) {
        return std::nullopt;
    }
    const std::string busy = percent_text(found->utilisation);
    std::string sentence;
    // Above some 70 % a queue grows faster than its load; below, speed is limited elsewhere.
    if (found->utilisation >= 0.7) {
        sentence =
            fmt::format("{} limits the throughput: it is busy {} of the time", found->name, busy);
        sentence += found->service_s > 0
                        ? fmt::format(", and requests wait {} there for {} of service.",
                                      time_text(found->waiting_s),
                                      time_text(found->service_s))
                        : ".";
    } else {
        sentence = fmt::format(
            "Nothing is saturated: the busiest station, {}, is busy {} of the "
            "time. Only shorter steps or more requests at once would raise the "
            "throughput.",
            found->name,
            busy);
    }
    return Bottleneck{found->name, found->utilisation, std::move(sentence)};
}

void check(const Result& result) {
    ensure_finite("window", {result.warm_up_s, result.duration_s});
    const Throughput& throughput = result.throughput;
    ensure_finite(
        "throughput",
        {throughput.ops_per_s, throughput.read_bytes_per_s, throughput.write_bytes_per_s});
    for (const auto& [name, interval] : throughput.ci95) {
        ensure_finite("throughput.ci95." + name, {interval.low, interval.high});
    }
    for (const auto& [name, operation] : result.operations) {
        ensure_finite("operations." + name, {operation.per_s});
        ensure_latency("operations." + name, operation.latency);
    }
    for (const auto& [name, request] : result.requests) {
        ensure_latency("requests." + name, request.latency);
        ensure_phases(
            "requests." + name, request.phases, request.latency ? request.latency->mean : 0);
    }
    for (const Station& station : result.stations) {
        ensure_finite(
            "station " + station.name,
            {station.utilisation, station.queue_length, station.waiting_s, station.service_s});
    }
    if (result.bottleneck) {
        ensure_finite("bottleneck", {result.bottleneck->utilisation});
    }
    if (result.cpu) {
        ensure_finite("cpu",
                      {result.cpu->application_s,
                       result.cpu->daemon_s,
                       result.cpu->kernel_s,
                       result.cpu->daemon_kernel_s,
                       result.cpu->context_switches});
    }
    for (const auto& [name, value] : result.memory) {
        ensure_finite("memory." + name, {value});
    }
    if (result.simulator) {
        ensure_finite("simulator", {result.simulator->cpu_s, result.simulator->requests_per_cpu_s});
    }
    for (const SloVerdict& one : result.slo) {
        ensure_finite("slo " + one.slo, {one.value});
    }
    if (result.comparison) {
        for (const auto& [name, compared] : result.comparison->requests) {
            for (const Side* side : {&compared.recorded, &compared.simulated}) {
                ensure_finite("comparison." + name, {side->mean, side->p50, side->p99});
                ensure_phases("comparison." + name, side->phases, side->mean);
            }
        }
    }
}

}  // namespace fusesim::report

#include "report/repeats.h"

#include <boost/math/distributions/students_t.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

namespace fusesim::report {

namespace {

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

Interval interval(const std::vector<double>& values, double confidence) {
    const auto n = static_cast<double>(values.size());
    const double middle = mean(values);
    double squares = 0;
    for (const double value : values) {
        squares += (value - middle) * (value - middle);
    }
    const boost::math::students_t_distribution<> student(n - 1);
    const double quantile = boost::math::quantile(student, 0.5 + confidence / 2);
    const double half = quantile * std::sqrt(squares / (n - 1) / n);
    return {middle - half, middle + half};
}

Interval interval95(const std::vector<double>& values) {
    return interval(values, 0.95);
}

double relative_error(const std::vector<double>& values, double confidence) {
    const Interval around = interval(values, confidence);
    const double middle = mean(values);
    return middle == 0 ? std::numeric_limits<double>::infinity()
                       : (around.high - around.low) / 2 / std::abs(middle);
}

namespace {

/// What all runs have, one value each; empty if one of them lacks it.
template <class Get>
std::vector<double> of_each(const std::vector<Result>& runs, const Get& get) {
    std::vector<double> values;
    for (const Result& run : runs) {
        const std::optional<double> value = get(run);
        if (!value) {
            return {};
        }
        values.push_back(*value);
    }
    return values;
}

/// `number` becomes the mean over the runs. Returns the runs' values.
template <class Get>
std::vector<double> average(double& number, const std::vector<Result>& runs, const Get& get) {
    std::vector<double> each = of_each(runs, get);
    if (!each.empty()) {
        number = mean(each);
    }
    return each;
}

/// Means of all numbers but the greatest, which is that of all runs.
template <class Find>
void average_latency(Latency& latency, const std::vector<Result>& runs, const Find& find_in) {
    for (const auto member : {&Latency::mean,
                              &Latency::p50,
                              &Latency::p95,
                              &Latency::p99,
                              &Latency::p999,
                              &Latency::max}) {
        const std::vector<double> each =
            average(latency.*member, runs, [&](const Result& run) -> std::optional<double> {
                const Latency* const one = find_in(run);
                return one != nullptr ? std::optional(one->*member) : std::nullopt;
            });
        if (member == &Latency::max && !each.empty()) {
            latency.max = *std::max_element(each.begin(), each.end());
        }
    }
}

void average_request(const std::string& name, Request& request, const std::vector<Result>& runs) {
    const auto same = [&name](const Result& run) { return find(run.requests, name); };
    const auto average_count = [&](std::uint64_t& number, std::uint64_t Request::*member) {
        double value = static_cast<double>(number);
        average(value, runs, [&](const Result& run) {
            return same(run) ? std::optional(static_cast<double>(same(run)->*member))
                             : std::nullopt;
        });
        number = static_cast<std::uint64_t>(std::llround(value));
    };
    average_count(request.count, &Request::count);
    average_count(request.bytes_in, &Request::bytes_in);
    average_count(request.bytes_out, &Request::bytes_out);
    const bool timed = std::all_of(runs.begin(), runs.end(), [&](const Result& run) {
        return same(run) && same(run)->latency && same(run)->phases &&
               same(run)->phases->complete();
    });
    if (!timed) {
        return;
    }
    average_latency(
        *request.latency, runs, [&](const Result& run) { return &*same(run)->latency; });
    for (const auto phase :
         {&Phases::background, &Phases::queue, &Phases::processing, &Phases::reply}) {
        average(*((*request.phases).*phase), runs, [&](const Result& run) {
            return (*same(run)->phases).*phase;
        });
    }
}

void average_answers(std::pair<std::string, Answers>& answers, const std::vector<Result>& runs) {
    for (const auto member : {&Answers::answered, &Answers::passed}) {
        double value = 0;
        average(value, runs, [&](const Result& run) {
            const Answers* const same = find(run.extfuse, answers.first);
            return std::optional(same != nullptr ? static_cast<double>(same->*member) : 0.0);
        });
        answers.second.*member = static_cast<std::uint64_t>(std::llround(value));
    }
}

void average_stations(Result& out, const std::vector<Result>& runs) {
    for (std::size_t i = 0; i < out.stations.size(); ++i) {
        for (const auto member : {&Station::utilisation,
                                  &Station::queue_length,
                                  &Station::waiting_s,
                                  &Station::service_s}) {
            average(out.stations[i].*member, runs, [&](const Result& run) {
                return i < run.stations.size() ? std::optional(run.stations[i].*member)
                                               : std::nullopt;
            });
        }
    }
    out.bottleneck = busiest(out.stations);
}

}  // namespace

std::vector<Fault> pooled_faults(const std::vector<std::vector<Fault>>& runs) {
    std::vector<Fault> out = runs.front();
    for (std::size_t i = 0; i < out.size(); ++i) {
        std::vector<double> before;
        std::vector<double> drains;
        for (const std::vector<Fault>& run : runs) {
            if (i < run.size()) {
                const Fault& one = run[i];
                before.push_back(one.waiting_before);
                out[i].waiting_peak = std::max(out[i].waiting_peak, one.waiting_peak);
                out[i].failed_operations =
                    std::max(out[i].failed_operations, one.failed_operations);
                drains.insert(drains.end(), one.drain_s ? 1 : 0, one.drain_s.value_or(0));
            }
        }
        out[i].waiting_before = mean(before);
        out[i].drain_s = drains.size() == runs.size() ? std::optional(mean(drains)) : std::nullopt;
    }
    return out;
}

Result pooled(const std::vector<Result>& runs) {
    Result out = runs.front();
    auto& intervals = out.throughput.ci95;
    const auto add_interval = [&](const std::string& name, const std::vector<double>& each) {
        if (each.size() >= 3) {
            intervals.emplace_back(name, interval95(each));
        }
    };
    const std::pair<const char*, double Throughput::*> rates[] = {
        {"ops_per_s", &Throughput::ops_per_s},
        {"read_bytes_per_s", &Throughput::read_bytes_per_s},
        {"write_bytes_per_s", &Throughput::write_bytes_per_s},
    };
    for (const auto& [name, rate] : rates) {
        add_interval(name, average(out.throughput.*rate, runs, [rate = rate](const Result& run) {
                         return std::optional(run.throughput.*rate);
                     }));
    }
    average(out.duration_s, runs, [](const Result& run) { return std::optional(run.duration_s); });
    for (auto& [name, operation] : out.operations) {
        const auto same = [&name = name](const Result& run) { return find(run.operations, name); };
        average(operation.per_s, runs, [&](const Result& run) {
            return same(run) ? std::optional(same(run)->per_s) : std::nullopt;
        });
        if (!operation.latency) {
            continue;
        }
        const auto latency_in = [&](const Result& run) {
            return same(run) && same(run)->latency ? &*same(run)->latency : nullptr;
        };
        average_latency(*operation.latency, runs, latency_in);
        add_interval("latency." + name, of_each(runs, [&](const Result& run) {
                         const Latency* const one = latency_in(run);
                         return one != nullptr ? std::optional(one->mean) : std::nullopt;
                     }));
    }
    for (auto& [name, request] : out.requests) {
        average_request(name, request, runs);
    }
    for (std::size_t i = 0; i < out.extfuse.size(); ++i) {
        average_answers(out.extfuse[i], runs);
    }
    average_stations(out, runs);
    std::vector<std::vector<Fault>> faults;
    for (const Result& run : runs) {
        faults.push_back(run.faults);
    }
    out.faults = pooled_faults(faults);
    for (const auto member : {&Cpu::application_s,
                              &Cpu::daemon_s,
                              &Cpu::kernel_s,
                              &Cpu::daemon_kernel_s,
                              &Cpu::context_switches}) {
        if (out.cpu) {
            average((*out.cpu).*member, runs, [&](const Result& run) {
                return run.cpu ? std::optional((*run.cpu).*member) : std::nullopt;
            });
        }
    }
    return out;
}

}  // namespace fusesim::report

#include "report/slo.h"

#include "config/error.h"
#include "report/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace fusesim::report {

using config::Mismatch;

namespace {

constexpr std::array<std::pair<std::string_view, double Latency::*>, 6> statistics{{
    {"mean", &Latency::mean},
    {"p50", &Latency::p50},
    {"p95", &Latency::p95},
    {"p99", &Latency::p99},
    {"p999", &Latency::p999},
    {"max", &Latency::max},
}};

constexpr std::array<std::pair<std::string_view, Metric::Unit>, 6> of_whole_result{{
    {"ops_per_s", Metric::Unit::per_second},
    {"read_bytes_per_s", Metric::Unit::bytes_per_second},
    {"write_bytes_per_s", Metric::Unit::bytes_per_second},
    {"mean", Metric::Unit::seconds},
    {"cores", Metric::Unit::cores},
    {"utilisation", Metric::Unit::share},
}};

const Latency* latency_of(const Result& result, const std::string& subject) {
    if (const Operation* operation = find(result.operations, subject)) {
        return operation->latency ? &*operation->latency : nullptr;
    }
    const Request* request = find(result.requests, subject);
    return request != nullptr && request->latency ? &*request->latency : nullptr;
}

/// Of all calls, or where there are none of all requests; nothing without either.
std::optional<double> mean_latency(const Result& result) {
    double time = 0;
    double count = 0;
    const auto add = [&](const auto& named) {
        for (const auto& [name, one] : named) {
            if (one.latency) {
                time += static_cast<double>(one.count) * one.latency->mean;
                count += static_cast<double>(one.count);
            }
        }
    };
    add(result.operations);
    if (count == 0) {
        add(result.requests);
    }
    return count > 0 ? std::optional(time / count) : std::nullopt;
}

/// What a metric may be about in this result.
std::string subjects(const Result& result) {
    std::string names;
    const auto add = [&](const auto& named) {
        for (const auto& [name, value] : named) {
            if (value.latency) {
                names += (names.empty() ? "" : ", ") + name;
            }
        }
    };
    add(result.operations);
    add(result.requests);
    return names;
}

double limit_of(std::string_view text, Metric::Unit unit) {
    switch (unit) {
        case Metric::Unit::seconds:
            return config::Format<sim::Time>::parse(text).seconds();
        case Metric::Unit::per_second:
            return config::Format<config::Rate>::parse(text).per_second;
        case Metric::Unit::bytes_per_second:
            return config::Format<config::Bandwidth>::parse(text).bytes_per_second;
        case Metric::Unit::share:
            return config::Format<config::Percent>::parse(text).fraction;
        case Metric::Unit::cores:
            break;
    }
    return config::Format<double>::parse(text);
}

}  // namespace

Metric::Metric(std::string_view name) : name_(config::trimmed(name)) {
    if (name_ == "throughput") {
        name_ = "ops_per_s";
    }
    for (const auto& [known, unit] : of_whole_result) {
        if (name_ == known) {
            unit_ = unit;
            return;
        }
    }
    if (constexpr std::string_view spelled = ".p99.9"; name_.ends_with(spelled)) {
        name_.replace(name_.size() - spelled.size(), spelled.size(), ".p999");
    }
    const std::size_t dot = name_.rfind('.');
    if (dot != std::string::npos && dot > 0) {
        subject_ = name_.substr(0, dot);
        statistic_ = name_.substr(dot + 1);
    }
    const bool known = std::any_of(statistics.begin(), statistics.end(), [&](const auto& one) {
        return one.first == statistic_;
    });
    if (statistic_ == "per_s") {
        unit_ = Unit::per_second;
    } else if (!known) {
        throw Mismatch(fmt::format("names the unknown number '{}'", name_),
                       "a call or request with mean, p50, p95, p99, p999, max or per_s, as in "
                       "read.p99; or ops_per_s, read_bytes_per_s, write_bytes_per_s, mean, "
                       "cores, utilisation");
    }
}

bool Metric::less_is_better() const {
    return unit_ == Unit::seconds || unit_ == Unit::cores || unit_ == Unit::share;
}

double Metric::of(const Result& result) const {
    if (name_ == "ops_per_s") {
        return result.throughput.ops_per_s;
    }
    if (name_ == "read_bytes_per_s") {
        return result.throughput.read_bytes_per_s;
    }
    if (name_ == "write_bytes_per_s") {
        return result.throughput.write_bytes_per_s;
    }
    if (name_ == "mean") {
        if (const auto mean = mean_latency(result)) {
            return *mean;
        }
    }
    if (name_ == "cores" && result.cpu && result.duration_s > 0) {
        return (result.cpu->application_s + result.cpu->daemon_s + result.cpu->kernel_s) /
               result.duration_s;
    }
    if (name_ == "utilisation" && result.bottleneck) {
        return result.bottleneck->utilisation;
    }
    if (statistic_ == "per_s") {
        if (const Operation* operation = find(result.operations, subject_)) {
            return operation->per_s;
        }
    } else if (const Latency* latency = latency_of(result, subject_)) {
        const auto member = std::find_if(statistics.begin(),
                                         statistics.end(),
                                         [&](const auto& one) { return one.first == statistic_; });
        return latency->*member->second;
    }
    throw config::Error(
        {"slo"}, fmt::format("the result has no {}", name_), "it has " + subjects(result));
}

std::string Metric::text(double value) const {
    switch (unit_) {
        case Unit::seconds:
            return time_text(value);
        case Unit::per_second:
            return rate_text(value) + "/s";
        case Unit::bytes_per_second:
            return bandwidth_text(value);
        case Unit::share:
            return percent_text(value);
        case Unit::cores:
            break;
    }
    return plain_text(value);
}

Slo Slo::parse(std::string_view text) {
    const std::size_t at = text.find_first_of("<>");
    if (at == std::string_view::npos) {
        throw Mismatch("is no SLO", "e.g. read.p99 < 2 ms");
    }
    const bool equal = text.substr(at + 1).starts_with('=');
    const bool less = text[at] == '<';
    const std::string_view limit = config::trimmed(text.substr(at + (equal ? 2 : 1)));
    const Metric metric(text.substr(0, at));
    const Relation relation = less    ? (equal ? Relation::at_most : Relation::less)
                              : equal ? Relation::at_least
                                      : Relation::greater;
    return {fmt::format("{} {}{} {}", metric.name(), text[at], equal ? "=" : "", limit),
            metric,
            relation,
            limit_of(limit, metric.unit())};
}

bool Slo::holds(double value) const {
    constexpr double rounding = 1e-12;  // "90 us" in seconds is not a whole number of anything
    switch (relation) {
        case Relation::less:
            return value < limit;
        case Relation::at_most:
            return value <= limit * (1 + rounding);
        case Relation::greater:
            return value > limit;
        case Relation::at_least:
            break;
    }
    return value >= limit * (1 - rounding);
}

std::vector<SloVerdict> verdicts(const std::vector<Slo>& slos, const Result& result) {
    std::vector<SloVerdict> out;
    for (const Slo& slo : slos) {
        const double value = slo.metric.of(result);
        out.push_back({slo.text, value, slo.holds(value)});
    }
    return out;
}

bool all_met(const std::vector<SloVerdict>& verdicts) {
    return std::all_of(
        verdicts.begin(), verdicts.end(), [](const SloVerdict& one) { return one.met; });
}

}  // namespace fusesim::report

#include "system/course.h"

#include <algorithm>
#include <array>

namespace fusesim::system {

using config::Json;
using sim::Time;

namespace {

constexpr std::array shares{0.0,  0.01, 0.02, 0.05, 0.1,  0.15, 0.2,   0.25,  0.3,    0.35, 0.4,
                            0.45, 0.5,  0.55, 0.6,  0.65, 0.7,  0.75,  0.8,   0.85,   0.9,  0.92,
                            0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9999, 1.0};

Json distribution(const sim::Tally& tally) {
    Json out{{"share", shares}, {"latency_s", Json::array()}};
    for (const double share : shares) {
        out["latency_s"].push_back(tally.quantile_seconds(share));
    }
    return out;
}

}  // namespace

Course::Course(Sources sources, Time interval)
    : sources_(std::move(sources)), interval_(interval) {}

void Course::begin(Time now) {
    begin_ = now;
    intervals_.clear();
    seen_operations_.clear();
    seen_requests_.clear();
    seen_stations_.clear();
}

std::map<std::string, Course::Part> Course::difference(const Tallies& tallies,
                                                       std::map<std::string, Seen>& seen) {
    std::map<std::string, Part> parts;
    for (const auto& [name, tally] : tallies) {
        Seen& before = seen[name];
        Part part;
        part.sum = tally->sum() - before.sum;
        before.sum = tally->sum();
        tally->histogram().for_each([&](std::int64_t low, std::int64_t, std::uint64_t count) {
            std::uint64_t& counted = before.counts[low];
            if (count > counted) {
                part.latencies.add(low, count - counted);
            }
            counted = count;
        });
        if (part.latencies.count() > 0) {
            parts.emplace(name, std::move(part));
        }
    }
    return parts;
}

Time Course::sample(Time now) {
    Interval interval;
    interval.end = now;
    interval.operations = difference(sources_.operations(), seen_operations_);
    interval.requests = difference(sources_.requests(), seen_requests_);
    const double elapsed = (now - begin_).seconds();
    for (const report::Station& station : sources_.stations(now)) {
        StationPart& before = seen_stations_[station.name];
        const StationPart whole{station.utilisation * elapsed, station.queue_length * elapsed};
        interval.stations[station.name] = {whole.busy - before.busy, whole.queue - before.queue};
        before = whole;
    }
    intervals_.push_back(std::move(interval));
    if (intervals_.size() == most_intervals) {
        halve();
    }
    return interval_;
}

void Course::halve() {
    interval_ = interval_ * 2;
    std::vector<Interval> halved;
    for (std::size_t i = 0; i + 1 < intervals_.size(); i += 2) {
        Interval both = std::move(intervals_[i]);
        Interval& second = intervals_[i + 1];
        both.end = second.end;
        for (auto member : {&Interval::operations, &Interval::requests}) {
            for (auto& [name, part] : second.*member) {
                Part& sum = (both.*member)[name];
                sum.sum += part.sum;
                sum.latencies.merge(part.latencies);
            }
        }
        for (const auto& [name, part] : second.stations) {
            both.stations[name].busy += part.busy;
            both.stations[name].queue += part.queue;
        }
        halved.push_back(std::move(both));
    }
    intervals_ = std::move(halved);
}

Json Course::latencies_of(std::map<std::string, Part> Interval::*member,
                          const Tallies& tallies) const {
    Json out = Json::object();
    for (const auto& [name, tally] : tallies) {
        Json& one = out[name];
        one = {{"per_s", Json::array()},
               {"mean_s", Json::array()},
               {"p50_s", Json::array()},
               {"p99_s", Json::array()},
               {"distribution", distribution(*tally)}};
        Time begin = begin_;
        for (const Interval& interval : intervals_) {
            const double length = (interval.end - begin).seconds();
            begin = interval.end;
            const auto found = (interval.*member).find(name);
            if (found == (interval.*member).end() || length <= 0) {
                one["per_s"].push_back(0);
                for (const char* key : {"mean_s", "p50_s", "p99_s"}) {
                    one[key].push_back(nullptr);
                }
                continue;
            }
            const auto& [sum, latencies] = found->second;
            const auto count = static_cast<double>(latencies.count());
            one["per_s"].push_back(count / length);
            one["mean_s"].push_back(static_cast<double>(sum) * 1e-12 / count);
            one["p50_s"].push_back(latencies.quantile(0.5) * 1e-12);
            one["p99_s"].push_back(latencies.quantile(0.99) * 1e-12);
        }
    }
    return out;
}

Json Course::json(Time now) {
    if (intervals_.empty() || intervals_.back().end < now) {
        sample(now);
    }
    Json out{{"time_s", Json::array()},
             {"operations", latencies_of(&Interval::operations, sources_.operations())},
             {"requests", latencies_of(&Interval::requests, sources_.requests())},
             {"stations", Json::object()}};
    Time begin = begin_;
    for (const Interval& interval : intervals_) {
        out["time_s"].push_back((interval.end - begin_).seconds());
        const double length = (interval.end - begin).seconds();
        begin = interval.end;
        for (const auto& [name, part] : interval.stations) {
            Json& station = out["stations"][name];
            station["utilisation"].push_back(length > 0 ? part.busy / length : 0);
            station["queue_length"].push_back(length > 0 ? part.queue / length : 0);
        }
    }
    return out;
}

}  // namespace fusesim::system

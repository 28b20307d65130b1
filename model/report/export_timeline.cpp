#include "report/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace fusesim::report {

namespace {

constexpr std::array phase_names{"background", "queue", "processing", "reply"};

/// One request of the timeline, in seconds: when each of its phases began, and when the last
/// one ended.
struct Timed {
    std::string opcode;
    std::uint64_t unique = 0;
    std::array<double, phase_names.size() + 1> at{};
};

/// Those of a result, in the order in which they were over; none without a timeline.
std::vector<Timed> timeline_of(const Json& details) {
    std::vector<Timed> all;
    const auto timeline = details.find("timeline");
    if (timeline == details.end()) {
        return all;
    }
    for (const Json& row : timeline->at("requests")) {
        Timed request{row.at(0).get<std::string>(), row.at(1).get<std::uint64_t>(), {}};
        // A request that was killed never saw its later phases: they took no time.
        double end = row.at(2 + phase_names.size()).get<double>();
        for (std::size_t i = phase_names.size() + 1; i-- > 0;) {
            const Json& time = row.at(2 + i);
            end = time.is_null() ? end : time.get<double>();
            request.at[i] = end;
        }
        all.push_back(std::move(request));
    }
    return all;
}

/// Where each interval begins, in seconds.
std::vector<double> interval_begins(const Json& details) {
    std::vector<double> begins{0};
    for (const Json& end : details.at("time_s")) {
        begins.push_back(end.get<double>());
    }
    begins.pop_back();
    return begins;
}

double trace_us(double seconds) {
    return seconds * 1e6;
}

std::int64_t dump_ns(double seconds) {
    return std::llround(seconds * 1e9);
}

// Processes of the trace, which are but headings.
constexpr int requests_heading = 1;
constexpr int stations_heading = 2;
constexpr int calls_heading = 3;

Json track_heading(int number, const char* text) {
    return {{"ph", "M"}, {"name", "process_name"}, {"pid", number}, {"args", {{"name", text}}}};
}

void add_counters(Json& events,
                  int where,
                  const Json& named,
                  const std::vector<double>& begins,
                  const char* key,
                  const char* label) {
    for (const auto& [name, values] : named.items()) {
        const Json& series = values.at(key);
        for (std::size_t i = 0; i < series.size() && i < begins.size(); ++i) {
            if (!series[i].is_null()) {
                events.push_back({{"ph", "C"},
                                  {"name", name + " " + label},
                                  {"pid", where},
                                  {"ts", trace_us(begins[i])},
                                  {"args", {{label, series[i]}}}});
            }
        }
    }
}

void add_request(Json& events, const Timed& request) {
    const auto event = [&](const char* kind, const std::string& name, double time) {
        events.push_back({{"ph", kind},
                          {"cat", "request"},
                          {"id", fmt::format("{:#x}", request.unique)},
                          {"name", name},
                          {"pid", requests_heading},
                          {"tid", 0},
                          {"ts", trace_us(time)}});
    };
    event("b", request.opcode, request.at.front());
    for (std::size_t i = 0; i < phase_names.size(); ++i) {
        if (request.at[i] < request.at[i + 1]) {
            event("b", phase_names[i], request.at[i]);
            event("e", phase_names[i], request.at[i + 1]);
        }
    }
    event("e", request.opcode, request.at.back());
}

/// VCD's short names: printable characters, counted up.
std::string short_name(std::size_t number) {
    constexpr char first = '!';
    constexpr std::size_t letters = '~' - '!' + 1;
    std::string text;
    do {
        text += static_cast<char>(first + static_cast<char>(number % letters));
        number /= letters;
    } while (number > 0);
    return text;
}

/// Viewers take brackets for bits of a word.
std::string identifier(const std::string& name) {
    std::string text;
    for (const char c : name) {
        const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
        if (plain) {
            text += c;
        } else if (c != ']' && !text.empty()) {
            text += '_';
        }
    }
    return text.empty() ? "_" : text;
}

/// Collects variables and their changes, and prints them in order of time.
class Dump {
  public:
    void scope(const std::string& name) { head_ += fmt::format("$scope module {} $end\n", name); }

    void close_scope() { head_ += "$upscope $end\n"; }

    std::string real(const std::string& name) { return variable("real 64", name); }

    std::string integer(const std::string& name) { return variable("integer 32", name); }

    void change_real(double time, const std::string& variable, double value) {
        changes_[dump_ns(time)].push_back(fmt::format("r{} {}", value, variable));
    }

    void change_integer(std::int64_t at, const std::string& variable, std::uint64_t value) {
        changes_[at].push_back(fmt::format("b{:b} {}", value, variable));
    }

    /// The whole file; viewers show nothing behind the last time in it, so it ends with `end`.
    std::string text(const std::string& version, double end) const {
        std::string out = fmt::format("$version fusesim {} $end\n$timescale 1 ns $end\n", version) +
                          head_ + "$enddefinitions $end\n";
        for (const auto& [time, changes] : changes_) {
            out += fmt::format("#{}\n", time);
            for (const std::string& change : changes) {
                out += change + "\n";
            }
        }
        if (changes_.empty() || changes_.rbegin()->first < dump_ns(end)) {
            out += fmt::format("#{}\n", dump_ns(end));
        }
        return out;
    }

  private:
    std::string variable(const char* type, const std::string& name) {
        const std::string code = short_name(variables_++);
        head_ += fmt::format("$var {} {} {} $end\n", type, code, name);
        return code;
    }

    std::string head_;
    std::size_t variables_ = 0;
    std::map<std::int64_t, std::vector<std::string>> changes_;
};

/// How many requests are in each phase, at each time at which that changes.
void dump_phases(Dump& dump, const std::vector<Timed>& requests) {
    dump.scope("requests");
    for (std::size_t i = 0; i < phase_names.size(); ++i) {
        std::map<std::int64_t, std::int64_t> steps{{0, 0}};
        for (const Timed& request : requests) {
            ++steps[std::max<std::int64_t>(0, dump_ns(request.at[i]))];
            --steps[std::max<std::int64_t>(0, dump_ns(request.at[i + 1]))];
        }
        const std::string variable = dump.integer(phase_names[i]);
        std::int64_t present = 0;
        std::optional<std::int64_t> shown;
        for (const auto& [time, step] : steps) {
            present += step;
            if (shown != present) {
                dump.change_integer(time, variable, static_cast<std::uint64_t>(present));
                shown = present;
            }
        }
    }
    dump.close_scope();
}

}  // namespace

std::string chrome_trace(const Result& result) {
    const Json& details = result.details;
    const std::vector<double> begins = interval_begins(details);
    Json events = Json::array();
    events.push_back(track_heading(requests_heading, "requests"));
    events.push_back(track_heading(stations_heading, "stations"));
    events.push_back(track_heading(calls_heading, "calls"));
    for (const Timed& request : timeline_of(details)) {
        add_request(events, request);
    }
    const Json& stations = details.at("stations");
    add_counters(events, stations_heading, stations, begins, "queue_length", "waiting");
    add_counters(events, stations_heading, stations, begins, "utilisation", "busy");
    add_counters(events, calls_heading, details.at("operations"), begins, "per_s", "per second");
    add_counters(events, requests_heading, details.at("requests"), begins, "per_s", "per second");
    return Json{{"displayTimeUnit", "ns"},
                {"otherData", {{"fusesim", result.version}, {"seed", result.seed}}},
                {"traceEvents", std::move(events)}}
               .dump() +
           "\n";
}

std::string vcd(const Result& result) {
    const Json& details = result.details;
    const std::vector<double> begins = interval_begins(details);
    Dump dump;
    dump.scope("fusesim");
    std::set<std::string> names;
    for (const auto& [station, values] : details.at("stations").items()) {
        std::string name = identifier(station);
        while (!names.insert(name).second) {
            name += '_';
        }
        dump.scope(name);
        for (const auto& [key, label] :
             {std::pair("queue_length", "waiting"), std::pair("utilisation", "busy")}) {
            const std::string variable = dump.real(label);
            const Json& series = values.at(key);
            for (std::size_t i = 0; i < series.size() && i < begins.size(); ++i) {
                dump.change_real(begins[i], variable, series[i].get<double>());
            }
        }
        dump.close_scope();
    }
    if (details.contains("timeline")) {
        dump_phases(dump, timeline_of(details));
    }
    dump.close_scope();
    return dump.text(result.version, result.duration_s);
}

}  // namespace fusesim::report

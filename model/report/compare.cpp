#include "report/compare.h"

#include "config/error.h"
#include "report/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fusesim::report {

namespace {

using Unit = Difference::Unit;
using Number = std::optional<double>;

// Two-sided 95 % of the normal distribution.
constexpr double z95 = 1.959963984540054;
// Resolution of simulated time: closer times are the same.
constexpr double picosecond = 1e-12;

/// Names of both, in the order of a; those that only b has come last.
template <class T>
std::vector<std::string> names(const Named<T>& a, const Named<T>& b) {
    std::vector<std::string> all;
    for (const auto& [name, value] : a) {
        all.push_back(name);
    }
    for (const auto& [name, value] : b) {
        if (find(a, name) == nullptr) {
            all.push_back(name);
        }
    }
    return all;
}

class Comparer {
  public:
    Comparer(const Result& a, const Result& b, double threshold) : a_(a), b_(b) {
        result_.threshold = threshold;
    }

    Differences run() {
        settings();
        throughput();
        for (const std::string& name : names(a_.operations, b_.operations)) {
            operation(name);
        }
        for (const std::string& name : names(a_.requests, b_.requests)) {
            request(name);
        }
        return std::move(result_);
    }

  private:
    /// `interval` is the name of the number in ci95.
    void add(std::string metric, Unit unit, Number a, Number b, const std::string& interval = "") {
        Difference d{std::move(metric), unit, a, b, std::nullopt, std::nullopt, false};
        if (a && b) {
            if (*a != 0) {
                d.ratio = *b / *a;
            }
            const Interval* const a95 = find(a_.throughput.ci95, interval);
            const Interval* const b95 = find(b_.throughput.ci95, interval);
            const double distance = std::abs(*b - *a);
            if (a95 != nullptr && b95 != nullptr) {
                const Significance s = significance(*a, *a95, *b, *b95);
                d.p = s.p;
                d.differs = s.differs;
            } else if (unit != Unit::seconds || distance > picosecond) {
                d.differs = distance > result_.threshold * std::abs(*a);
            }
        }
        result_.metrics.push_back(std::move(d));
    }

    void throughput() {
        const Throughput& a = a_.throughput;
        const Throughput& b = b_.throughput;
        const auto both = [&](const char* name, Unit unit, double Throughput::*member) {
            add(std::string("throughput.") + name, unit, a.*member, b.*member, name);
        };
        both("ops_per_s", Unit::per_second, &Throughput::ops_per_s);
        both("read_bytes_per_s", Unit::bytes_per_second, &Throughput::read_bytes_per_s);
        both("write_bytes_per_s", Unit::bytes_per_second, &Throughput::write_bytes_per_s);
    }

    void latency(const std::string& of,
                 const std::optional<Latency>& a,
                 const std::optional<Latency>& b,
                 const std::string& interval) {
        if (!a && !b) {
            return;
        }
        const auto both = [&](const char* name, double Latency::*member, const std::string& ci) {
            add(of + ".latency_s." + name,
                Unit::seconds,
                a ? Number((*a).*member) : std::nullopt,
                b ? Number((*b).*member) : std::nullopt,
                ci);
        };
        both("mean", &Latency::mean, interval);
        both("p50", &Latency::p50, "");
        both("p99", &Latency::p99, "");
    }

    void phases(const std::string& of,
                const std::optional<Phases>& a,
                const std::optional<Phases>& b) {
        const auto both = [&](const char* name, Number Phases::*member) {
            const Number in_a = a ? (*a).*member : std::nullopt;
            const Number in_b = b ? (*b).*member : std::nullopt;
            if (in_a || in_b) {
                add(of + ".phases_s." + name, Unit::seconds, in_a, in_b);
            }
        };
        both("background", &Phases::background);
        both("queue", &Phases::queue);
        both("processing", &Phases::processing);
        both("reply", &Phases::reply);
    }

    /// What never came has a count of 0 and no latency.
    template <class T>
    void count(const std::string& of, const T& a, const T& b) {
        add(of + ".count", Unit::plain, static_cast<double>(a.count), static_cast<double>(b.count));
    }

    void operation(const std::string& name) {
        const Operation none;
        const Operation* const in_a = find(a_.operations, name);
        const Operation* const in_b = find(b_.operations, name);
        const Operation& a = in_a != nullptr ? *in_a : none;
        const Operation& b = in_b != nullptr ? *in_b : none;
        count("operations." + name, a, b);
        latency("operations." + name, a.latency, b.latency, "latency." + name);
    }

    void request(const std::string& name) {
        const Request none;
        const Request* const in_a = find(a_.requests, name);
        const Request* const in_b = find(b_.requests, name);
        const Request& a = in_a != nullptr ? *in_a : none;
        const Request& b = in_b != nullptr ? *in_b : none;
        count("requests." + name, a, b);
        latency("requests." + name, a.latency, b.latency, "");
        phases("requests." + name, a.phases, b.phases);
    }

    static std::string shown_value(const Json& value) {
        return value.is_string() ? value.get<std::string>() : value.dump();
    }

    static void flatten(const Json& value, const std::string& path, Named<std::string>& flat) {
        if (!value.is_object() || (value.empty() && !path.empty())) {
            flat.emplace_back(path, shown_value(value));
            return;
        }
        for (const auto& [key, inner] : value.items()) {
            flatten(inner, path.empty() ? key : path + "." + key, flat);
        }
    }

    void setting(const std::string& key, const std::string& a, const std::string& b) {
        if (a != b) {
            result_.settings.push_back({key, a, b});
        }
    }

    void settings() {
        const auto source = [](const Result& r) {
            return r.source == Source::simulated ? "simulated" : "measured";
        };
        setting("source", source(a_), source(b_));
        setting("fusesim", a_.version, b_.version);
        setting("seed", std::to_string(a_.seed), std::to_string(b_.seed));
        setting("window.warm_up_s", plain_text(a_.warm_up_s), plain_text(b_.warm_up_s));
        Named<std::string> a;
        Named<std::string> b;
        flatten(a_.config, "", a);
        flatten(b_.config, "", b);
        for (const std::string& key : names(a, b)) {
            const std::string* const in_a = find(a, key);
            const std::string* const in_b = find(b, key);
            setting("config." + key, in_a != nullptr ? *in_a : "", in_b != nullptr ? *in_b : "");
        }
    }

    const Result& a_;
    const Result& b_;
    Differences result_;
};

Json json_of(const Number& number) {
    return number ? Json(*number) : Json(nullptr);
}

std::string cell(Unit unit, const Number& number) {
    if (!number) {
        return "-";
    }
    switch (unit) {
        case Unit::seconds:
            return time_text(*number);
        case Unit::per_second:
            return rate_text(*number);
        case Unit::bytes_per_second:
            return bytes_text(*number) + "/s";
        case Unit::plain:
            break;
    }
    return count_text(static_cast<std::uint64_t>(*number));
}

std::string verdict(const Difference& d) {
    if (!d.a || !d.b) {
        return "-";
    }
    if (!d.differs) {
        return "~";
    }
    return d.ratio ? error_text(*d.ratio - 1) : "differs";
}

/// "requests.READ.latency_s.mean" is "READ mean" to a reader.
std::string label(const std::string& metric) {
    const std::size_t first = metric.find('.');
    const std::size_t last = metric.rfind('.');
    const std::string group = metric.substr(0, first);
    std::string what = metric.substr(last + 1);
    if (group == "throughput") {
        return group + " " +
               (what == "ops_per_s"          ? "ops/s"
                : what == "read_bytes_per_s" ? "read"
                                             : "write");
    }
    std::string of = metric.substr(first + 1, last - first - 1);
    for (const char* inner : {".latency_s", ".phases_s"}) {
        if (of.ends_with(inner)) {
            of.resize(of.size() - std::string_view(inner).size());
        }
    }
    return of + " " + what;
}

std::string value_text(const std::string& value) {
    constexpr std::size_t most = 28;
    const std::string text = value.empty() ? "(not set)" : config::shown(value);
    return text.size() <= most ? text : text.substr(0, most - 3) + "...";
}

}  // namespace

Significance significance(double a, const Interval& a95, double b, const Interval& b95) {
    const double distance = std::abs(b - a);
    // An interval need not lie around its value; a limit on the wrong side of it is no width.
    const double of_a = std::max(0.0, a < b ? a95.high - a : a - a95.low);
    const double of_b = std::max(0.0, a < b ? b - b95.low : b95.high - b);
    const double reach = std::hypot(of_a, of_b);
    if (distance == 0) {
        return {1, false};
    }
    if (reach == 0) {
        return {0, true};
    }
    return {std::erfc(z95 * distance / reach / std::numbers::sqrt2), distance > reach};
}

Differences compare(const Result& a, const Result& b, double threshold) {
    return Comparer(a, b, threshold).run();
}

Json to_json(const Differences& differences) {
    Json metrics = Json::array();
    for (const Difference& d : differences.metrics) {
        metrics.push_back({{"metric", d.metric},
                           {"a", json_of(d.a)},
                           {"b", json_of(d.b)},
                           {"ratio", json_of(d.ratio)},
                           {"p", json_of(d.p)},
                           {"differs", d.differs}});
    }
    Json settings = Json::array();
    for (const ChangedSetting& setting : differences.settings) {
        settings.push_back({{"key", setting.key}, {"a", setting.a}, {"b", setting.b}});
    }
    return {{"schema_version", 1},
            {"threshold", differences.threshold},
            {"settings", std::move(settings)},
            {"metrics", std::move(metrics)}};
}

std::string text(const Differences& differences, const std::string& a, const std::string& b) {
    std::string page = fmt::format("a: {}\nb: {}\n\n", config::shown(a), config::shown(b));
    Table settings({"settings that differ", "a", "b"}, 3);
    for (const ChangedSetting& setting : differences.settings) {
        const std::string prefix = "config.";
        const bool configured = setting.key.starts_with(prefix);
        settings.add({config::shown(setting.key.substr(configured ? prefix.size() : 0)),
                      value_text(setting.a),
                      value_text(setting.b)});
    }
    page += settings.empty() ? "same settings\n" : settings.text();

    const auto with_p = std::count_if(differences.metrics.begin(),
                                      differences.metrics.end(),
                                      [](const Difference& d) { return d.p.has_value(); });
    std::vector<std::string> header{"", "a", "b", "b / a", "differs"};
    if (with_p > 0) {
        header.emplace_back("p");
    }
    Table table(std::move(header), 1);
    std::size_t differ = 0;
    std::size_t compared = 0;
    for (const Difference& d : differences.metrics) {
        const bool both = d.a && d.b;
        if (both && *d.a == 0 && *d.b == 0) {
            continue;
        }
        compared += both ? 1 : 0;
        differ += d.differs ? 1 : 0;
        std::vector<std::string> row{label(d.metric),
                                     cell(d.unit, d.a),
                                     cell(d.unit, d.b),
                                     d.ratio ? fmt::format("{:.3f}", *d.ratio) : "-",
                                     verdict(d)};
        if (with_p > 0) {
            row.push_back(d.p ? fmt::format("{:.3f}", *d.p) : "");
        }
        table.add(std::move(row));
    }
    page += "\n" + (table.empty() ? std::string("nothing to compare\n") : table.text());
    std::string rule = fmt::format("{} of {} numbers differ by more than {}",
                                   differ,
                                   compared,
                                   percent_text(differences.threshold));
    if (with_p > 0) {
        rule += "; where there is a p, the 95 % intervals decide";
    }
    return page + "\n" + wrapped(rule + ". ~ is no difference, - cannot be compared.");
}

}  // namespace fusesim::report

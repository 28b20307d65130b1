#include "system/recorded_facts.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

namespace fusesim::system {

namespace {

std::optional<std::string_view> fact(const trace::Header& header, std::string_view key) {
    for (const auto& [name, value] : header.facts) {
        if (name == key) {
            return value;
        }
    }
    return std::nullopt;
}

std::optional<unsigned> number(std::string_view text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

std::optional<unsigned> number_fact(const trace::Header& header, std::string_view key) {
    const auto text = fact(header, key);
    return text ? number(*text) : std::nullopt;
}

/// "0-2,5" as in /proc/PID/status; nothing if it is no such list or is everything.
std::optional<std::vector<unsigned>> cpu_list(std::string_view text, unsigned cpus) {
    std::vector<unsigned> list;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
        const std::size_t dash = part.find('-');
        const auto first = number(part.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : number(part.substr(dash + 1));
        if (!first || !last || *last < *first || *last > 1023) {
            return std::nullopt;
        }
        for (unsigned cpu = *first; cpu <= *last; ++cpu) {
            list.push_back(cpu);
        }
    }
    return list.size() < cpus ? std::optional(list) : std::nullopt;
}

template <class T>
void fill(std::optional<T>& setting, const std::optional<T>& value) {
    if (!setting) {
        setting = value;
    }
}

}  // namespace

void take_over_facts(const trace::Header& header, Scenario& scenario) {
    if (scenario.kernel.version.empty()) {
        scenario.kernel.version = header.kernel;
    }
    if (!scenario.mount.max_background) {  // else the threshold follows the limit asked for
        scenario.mount.max_background = number_fact(header, "mount.max_background");
        fill(scenario.mount.congestion_threshold,
             number_fact(header, "mount.congestion_threshold"));
    }
    if (!scenario.daemon.threads) {
        if (const auto threads = number_fact(header, "daemon.threads")) {
            scenario.daemon.threads = Threads{*threads > 1, std::nullopt};
        }
    }
    // What the recorder of requests costs, recorded calls have not paid.
    fill(scenario.workload.recorder,
         std::optional(header.layer == trace::Layer::fuse &&
                       header.tool.starts_with("fusesim record")));
    if (const auto affinity = fact(header, "daemon.affinity"); affinity) {
        fill(scenario.daemon.affinity, cpu_list(*affinity, header.cpus));
    }
    if (const auto affinity = fact(header, "callers.affinity"); affinity) {
        fill(scenario.workload.affinity, cpu_list(*affinity, header.cpus));
    }
}

std::vector<std::string> warnings_of(const trace::Header& header) {
    std::vector<std::string> all;
    if (fact(header, "source") == "strace") {
        all.emplace_back(
            "strace stopped the program twice at each call: recorded latencies and the pauses "
            "between calls are upper bounds; compare simulated with simulated");
    }
    return all;
}

void refuse_above_layer(const trace::Header& header,
                        const Scenario& scenario,
                        const config::Document& document) {
    if (header.layer != trace::Layer::fuse) {
        return;  // calls: all settings lie below
    }
    const MountConfig& mount = scenario.mount;
    const std::pair<const char*, bool> above[] = {
        {"entry_timeout", mount.entry_timeout.has_value()},
        {"attr_timeout", mount.attr_timeout.has_value()},
        {"negative_timeout", mount.negative_timeout.has_value()},
        {"max_readahead", mount.max_readahead.has_value()},
        {"writeback_cache", mount.writeback_cache.has_value()},
        {"default_permissions", mount.default_permissions.has_value()},
        {"direct_io", mount.direct_io.has_value()},
        {"keep_cache", mount.keep_cache.has_value()},
        {"extfuse", mount.extfuse.has_value()},
    };
    config::Problems problems;
    for (const auto& [key, given] : above) {
        if (given) {
            const std::string path = std::string("mount.") + key;
            problems.add(document.place(path),
                         fmt::format("a trace of FUSE requests cannot answer a question about {}: "
                                     "the kernel's caches had already decided which requests were "
                                     "sent",
                                     path),
                         "record with --layer syscall to ask about caches");
        }
    }
    problems.raise();
}

}  // namespace fusesim::system

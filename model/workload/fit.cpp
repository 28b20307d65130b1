#include "workload/fit.h"

#include "config/error.h"
#include "sim/distribution_format.h"
#include "trace/content_hash.h"
#include "workload/fit_distribution.h"
#include "workload/steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>

namespace fusesim::workload {

using fuse::Opcode;
using sim::Distribution;
using sim::Time;
using trace::known;

namespace {

using Sample = std::vector<std::int64_t>;

Opcode opcode_at(std::size_t index) {
    return fuse::opcodes()[index].opcode;
}

bool is_data(Opcode opcode) {
    return opcode == Opcode::read || opcode == Opcode::write;
}

/// Correlation of two quantities from their sums.
class Correlation {
  public:
    void add(double x, double y) {
        ++n_;
        // Welford: sums of squares of large numbers would cancel.
        const double dx = x - mean_x_;
        const double dy = y - mean_y_;
        mean_x_ += dx / n_;
        mean_y_ += dy / n_;
        xx_ += dx * (x - mean_x_);
        yy_ += dy * (y - mean_y_);
        xy_ += dx * (y - mean_y_);
    }

    double value() const { return xx_ > 0 && yy_ > 0 ? xy_ / std::sqrt(xx_ * yy_) : 0; }

    /// Large enough to matter, and no accident: Student's t above 3.
    bool matters() const {
        const double r = std::abs(value());
        return n_ >= 20 && r >= 0.3 && (r >= 1 || r * std::sqrt((n_ - 2) / (1 - r * r)) > 3);
    }

  private:
    double n_ = 0;
    double mean_x_ = 0;
    double mean_y_ = 0;
    double xx_ = 0;
    double yy_ = 0;
    double xy_ = 0;
};

/// Sizes of one opcode's payloads and the service times that went with them.
class Sizes {
  public:
    void add(std::uint64_t bytes, std::int64_t service) {
        if (bytes == 0) {
            return;
        }
        // A service time of nothing has no logarithm, and one nanosecond is the resolution.
        const double ns = static_cast<double>(std::max<std::int64_t>(service, 1));
        correlation_.add(std::log(static_cast<double>(bytes)), std::log(ns));
        Class& same = classes_[bytes];
        ++same.count;
        same.sum_ns += static_cast<double>(service);
        if (classes_.size() > most_classes) {
            thin_out();
        }
    }

    std::optional<SizeEffect> effect() const {
        if (classes_.empty() || !correlation_.matters()) {
            return std::nullopt;
        }
        SizeEffect effect;
        effect.smallest = classes_.begin()->first;
        effect.largest = classes_.rbegin()->first;
        effect.correlation = correlation_.value();
        if (effect.largest <= 4 * effect.smallest) {
            return std::nullopt;
        }
        const double middle =
            std::sqrt(static_cast<double>(effect.smallest) * static_cast<double>(effect.largest));
        Class smaller;
        Class larger;
        for (const auto& [bytes, one] : classes_) {
            Class& side = static_cast<double>(bytes) <= middle ? smaller : larger;
            side.count += one.count;
            side.sum_ns += one.sum_ns;
        }
        effect.at_smaller_s = smaller.sum_ns * 1e-9 / smaller.count;
        effect.at_larger_s = larger.sum_ns * 1e-9 / larger.count;
        return effect;
    }

  private:
    struct Class {
        double count = 0;
        double sum_ns = 0;
    };

    static constexpr std::size_t most_classes = 4096;

    /// Every second size joins its smaller neighbour; the extremes stay.
    void thin_out() {
        for (auto at = std::next(classes_.begin()); at != classes_.end();) {
            const auto last = std::prev(classes_.end());
            if (at == last) {
                break;
            }
            Class& before = std::prev(at)->second;
            before.count += at->second.count;
            before.sum_ns += at->second.sum_ns;
            at = classes_.erase(at);
            if (at != last) {
                ++at;
            }
        }
    }

    Correlation correlation_;
    std::map<std::uint64_t, Class> classes_;
};

std::uint64_t payload(Opcode opcode, const trace::Record& record) {
    if (opcode == Opcode::write) {
        return record.size;
    }
    if (opcode != Opcode::read || record.error != 0) {
        return 0;
    }
    constexpr std::uint32_t header = 16;
    return record.bytes_out == 0       ? record.size
           : record.bytes_out > header ? record.bytes_out - header
                                       : 0;
}

/// What is collected of one opcode.
struct Samples {
    Sample cpu;
    Sample blocked;
    std::uint64_t errors = 0;
    std::uint64_t spans = 0;
    Sizes sizes;
};

FittedTime fitted(Sample sample) {
    FittedTime time;
    const double sum = std::accumulate(sample.begin(), sample.end(), 0.0);
    time.recorded_mean_s = sum / static_cast<double>(sample.size()) * 1e-9;
    time.distribution = fit_distribution(std::move(sample));
    return time;
}

FittedService fitted(Samples samples) {
    FittedService service;
    service.count = samples.cpu.size();
    service.errors = samples.errors;
    service.spans = samples.spans;
    service.cpu = fitted(std::move(samples.cpu));
    const auto slept = [](std::int64_t ns) { return ns != 0; };
    if (std::any_of(samples.blocked.begin(), samples.blocked.end(), slept)) {
        service.blocked = fitted(std::move(samples.blocked));
    }
    return service;
}

void append(const Samples& from, Samples& to) {
    to.cpu.insert(to.cpu.end(), from.cpu.begin(), from.cpu.end());
    to.blocked.insert(to.blocked.end(), from.blocked.begin(), from.blocked.end());
    to.errors += from.errors;
    to.spans += from.spans;
}

/// Adds the record's service time; false if the trace does not say it.
bool collect(Opcode opcode, const trace::Record& record, Samples& samples) {
    std::int64_t cpu = record.service_cpu;
    std::int64_t blocked = known(record.service_blocked) ? record.service_blocked : 0;
    if (!known(cpu)) {
        if (!known(record.taken) || !known(record.replied)) {
            return false;
        }
        cpu = record.replied - record.taken;
        blocked = 0;
        ++samples.spans;
    }
    samples.cpu.push_back(cpu);
    samples.blocked.push_back(blocked);
    samples.errors += record.error != 0 ? 1 : 0;
    samples.sizes.add(payload(opcode, record), cpu + blocked);
    return true;
}

/// As a YAML value: quoted where it holds colons, on as many lines as it needs.
std::string yaml_text(const Distribution& distribution) {
    const std::string text = config::Format<Distribution>::text(distribution);
    if (text.find(':') == std::string::npos) {
        return text;
    }
    constexpr std::size_t widest = 84;
    const std::string line_end = "\n          ";
    std::string yaml = "\"";
    std::size_t width = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(", ", at), text.size() - 1) + 1;
        if (width + end - at > widest) {
            yaml += line_end;
            width = 0;
            at += text[at] == ' ' ? 1 : 0;
        }
        yaml += text.substr(at, end - at);
        width += end - at;
        at = end;
    }
    return yaml + "\"";
}

std::string rounded_time(double seconds) {
    return config::Format<Time>::text(four_digits(seconds * 1e9));
}

std::string size_sentence(const FittedOpcode& fit) {
    const SizeEffect& effect = *fit.size_effect;
    return fmt::format(
        "{} of {} to {} took {} in the smaller half of sizes and {} in the larger "
        "(correlation {:.2f})",
        fuse::to_text(fit.opcode),
        config::Format<config::Bytes>::text({effect.smallest}),
        config::Format<config::Bytes>::text({effect.largest}),
        rounded_time(effect.at_smaller_s),
        rounded_time(effect.at_larger_s),
        effect.correlation);
}

std::string counts_text(const FittedService& service) {
    std::string text = fmt::format("{} request{}, mean cpu {}",
                                   service.count,
                                   service.count == 1 ? "" : "s",
                                   rounded_time(service.cpu.recorded_mean_s));
    if (service.blocked) {
        text += ", blocked " + rounded_time(service.blocked->recorded_mean_s);
    }
    if (service.errors > 0) {
        text += fmt::format(", {} with errors", service.errors);
    }
    if (service.spans > 0) {
        text += fmt::format(", {} from taken to replied", service.spans);
    }
    return text;
}

std::string entry(std::string_view name, const FittedService& service) {
    std::string lines =
        fmt::format("  {}:\n    cpu: {}\n", name, yaml_text(service.cpu.distribution));
    if (service.blocked) {
        lines += fmt::format("    blocked: {}\n", yaml_text(service.blocked->distribution));
    }
    return lines;
}

}  // namespace

DaemonFit fit_daemon(trace::Reader& reader, const std::function<void(double)>& progress) {
    const auto refuse = [](const config::Place& place, const char* message, const char* hint) {
        throw config::Error(place, message, hint);
    };
    trace::Record record;
    bool any = reader.next(record);
    const config::Place place = reader.place();
    if (reader.header().layer != trace::Layer::fuse) {
        refuse({place.file},
               "a trace of application calls does not show the daemon: its times hold the "
               "kernel's caches and queues as well",
               "record with --layer fuse");
    }
    DaemonFit fit;
    std::map<std::size_t, Samples> samples;  // in the protocol's order
    for (; any; any = reader.next(record)) {
        if (++fit.records % progress_every == 0 && progress) {
            progress(reader.progress());
        }
        const std::optional<Opcode> opcode = fuse::opcode_from_number(record.opcode);
        if (!opcode || !fuse::expects_reply(*opcode)) {
            continue;
        }
        if (!collect(*opcode, record, samples[fuse::opcode_index(*opcode)])) {
            ++fit.unknown;
        }
    }
    std::erase_if(samples, [](const auto& one) { return one.second.cpu.empty(); });
    if (samples.empty()) {
        refuse({place.file},
               fit.records == 0 ? "the trace holds no record"
                                : "no request has a service time: neither service_cpu nor taken "
                                  "and replied are known",
               fit.records == 0 ? "was there any load on the mount while it was recorded?"
                                : "fusesim record sees them; the kernel's text trace does not");
    }
    const auto moves_data = [](const auto& one) { return is_data(opcode_at(one.first)); };
    const bool only_data = std::all_of(samples.begin(), samples.end(), moves_data);
    fit.other_without_data = !only_data && std::any_of(samples.begin(), samples.end(), moves_data);
    Samples other;
    for (auto& [index, one] : samples) {
        const Opcode opcode = opcode_at(index);
        if (only_data || !is_data(opcode)) {
            append(one, other);
        }
        const auto effect = one.sizes.effect();
        fit.opcodes.push_back({opcode, fitted(std::move(one)), effect});
    }
    fit.other = fitted(std::move(other));
    return fit;
}

std::string daemon_yaml(const DaemonFit& fit,
                        const trace::Reader& reader,
                        const std::string& trace_name,
                        const std::string& tool) {
    const trace::Header& header = reader.header();
    std::string yaml = "# Service times of a recorded daemon. Use: daemon: {from: THIS_FILE}\n";
    const auto say = [&](std::string_view key, const std::string& value) {
        if (!value.empty()) {
            yaml += fmt::format("# {}: {}\n", key, config::shown(value));
        }
    };
    say("trace", trace_name);
    if (const auto hash = reader.content_hash()) {
        say("content", trace::hash_text(*hash));
    }
    say("recorded by", header.tool);
    say("kernel", header.kernel);
    for (const auto& [key, value] : header.facts) {
        if (key.starts_with("daemon.") || key == "mount.fstype") {
            say(key, value);
        }
    }
    say("fitted by", tool);
    yaml +=
        "# Points are quantiles of the recording; those between 0, .1 ... .9, .95, .99, .999,\n"
        "# .9999 and 1 were put there so that each stretch keeps its recorded mean.\n";
    const auto comment = [&](const std::string& line) { yaml += "# " + line + "\n"; };
    for (const std::string& warning : fit_warnings(fit)) {
        comment("warning: " + warning);
    }
    yaml += "filesystem: service_time\nservice:\n";
    for (const FittedOpcode& one : fit.opcodes) {
        yaml += "  # " + counts_text(one.service) + "\n";
        yaml += entry(fuse::to_text(one.opcode), one.service);
    }
    yaml += fmt::format("  # opcodes not recorded: all of the above{}\n",
                        fit.other_without_data ? " but READ and WRITE" : "");
    yaml += entry("other", fit.other);
    return yaml;
}

std::vector<std::string> fit_warnings(const DaemonFit& fit) {
    std::vector<std::string> all;
    std::uint64_t spans = 0;
    std::uint64_t requests = 0;
    for (const FittedOpcode& one : fit.opcodes) {
        spans += one.service.spans;
        requests += one.service.count;
        if (one.size_effect) {
            all.push_back(size_sentence(one) +
                          "; the fit draws without regard to size, so change no size with it");
        }
    }
    if (spans > 0) {
        all.push_back(
            fmt::format("{} of {} service times are spans from taken to replied: sleep "
                        "and waiting for a core count as work on a core",
                        spans,
                        requests));
    }
    if (fit.unknown > 0) {
        all.push_back(
            fmt::format("{} requests were left out, since the trace does not say when "
                        "they were taken and replied",
                        fit.unknown));
    }
    return all;
}

}  // namespace fusesim::workload

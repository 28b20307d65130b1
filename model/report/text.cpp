#include "config/map.h"
#include "report/numbers.h"
#include "report/report.h"
#include "report/slo.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace fusesim::report {

namespace {

std::string heading(const Result& result) {
    std::string text = result.source == Source::simulated ? "simulated" : "measured";
    text += ", window " + time_text(result.duration_s);
    if (result.warm_up_s > 0) {
        text += " after " + time_text(result.warm_up_s) + " of warm-up";
    }
    const Throughput& t = result.throughput;
    text += fmt::format("\nthroughput {} ops/s", rate_text(t.ops_per_s));
    for (const auto& [name, interval] : t.ci95) {
        if (name == "ops_per_s") {
            text +=
                fmt::format(" (95 %: {} to {})", rate_text(interval.low), rate_text(interval.high));
        }
    }
    text += fmt::format("\nread {}, write {}\n",
                        bandwidth_text(t.read_bytes_per_s),
                        bandwidth_text(t.write_bytes_per_s));
    return text;
}

std::vector<std::string> latency_cells(const std::optional<Latency>& latency) {
    if (!latency) {
        return std::vector<std::string>(6, "-");
    }
    std::vector<std::string> cells;
    for (const double value :
         {latency->mean, latency->p50, latency->p95, latency->p99, latency->p999, latency->max}) {
        cells.push_back(time_text(value));
    }
    return cells;
}

std::string operations(const Result& result) {
    Table table({"operation", "count", "mean", "p50", "p95", "p99", "p99.9", "max"});
    for (const auto& [name, operation] : result.operations) {
        std::vector<std::string> row{name, count_text(operation.count)};
        const auto cells = latency_cells(operation.latency);
        row.insert(row.end(), cells.begin(), cells.end());
        table.add(std::move(row));
    }
    return table.empty() ? "" : "\n" + table.text();
}

std::string requests(const Result& result) {
    Table table({"request", "count", "mean", "p50", "p95", "p99", "p99.9", "max"});
    for (const auto& [name, request] : result.requests) {
        std::vector<std::string> row{name, count_text(request.count)};
        const auto cells = latency_cells(request.latency);
        row.insert(row.end(), cells.begin(), cells.end());
        table.add(std::move(row));
    }
    return table.empty() ? "" : "\n" + table.text();
}

/// Mean and the four phases in one unit; what is printed adds up. "-" is a phase nobody saw.
std::vector<std::string> phase_cells(double mean, const Phases& phases) {
    const std::vector<const std::optional<double>*> all{
        &phases.background, &phases.queue, &phases.processing, &phases.reply};
    std::vector<double> parts;
    for (const auto* phase : all) {
        parts.push_back(phase->value_or(0));
    }
    std::vector<std::string> cells;
    if (phases.complete()) {
        cells = parts_text(mean, parts);
    } else {
        // What was not seen is a part as well, or the others would be rounded up to fill it.
        parts.push_back(mean - phases.sum());
        cells = parts_text(mean, parts);
        cells.pop_back();
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!*all[i]) {
            cells[i + 1] = "-";
        }
    }
    return cells;
}

std::string phases(const Result& result) {
    Table table(
        {"where the time goes", "mean =", "background +", "queue +", "processing +", "reply"});
    for (const auto& [name, request] : result.requests) {
        if (request.phases && request.latency) {
            std::vector<std::string> row{name};
            const auto cells = phase_cells(request.latency->mean, *request.phases);
            row.insert(row.end(), cells.begin(), cells.end());
            table.add(std::move(row));
        }
    }
    return table.empty() ? "" : "\n" + table.text();
}

std::string comparison(const Comparison& comparison) {
    Table table({"request", "count", "latency", "recorded |", "simulated |", "error"}, 1);
    Table parts({"mean phases", "", "mean =", "background +", "queue +", "processing +", "reply"},
                2);
    for (const auto& [name, compared] : comparison.requests) {
        const Side& recorded = compared.recorded;
        const Side& simulated = compared.simulated;
        std::string first = name;
        std::string count = count_text(recorded.count);
        if (recorded.count != simulated.count) {
            count += " / " + count_text(simulated.count);
        }
        const auto add = [&](const char* what, double Side::*member) {
            const auto error = relative_error(recorded.*member, simulated.*member);
            table.add({first,
                       count,
                       what,
                       time_text(recorded.*member) + " |",
                       time_text(simulated.*member) + " |",
                       error ? error_text(*error) : "-"});
            first.clear();
            count.clear();
        };
        add("mean", &Side::mean);
        add("p50", &Side::p50);
        add("p99", &Side::p99);
        std::string label = name;
        for (const auto& [who, side] :
             {std::pair("recorded", &recorded), std::pair("simulated", &simulated)}) {
            if (side->phases) {
                std::vector<std::string> row{label, who};
                const auto cells = phase_cells(side->mean, *side->phases);
                row.insert(row.end(), cells.begin(), cells.end());
                parts.add(std::move(row));
                label.clear();
            }
        }
    }
    std::string text =
        "\n" + wrapped(fmt::format("Replay of {}, mode {}:", comparison.trace, comparison.mode));
    text += table.text();
    return parts.empty() ? text : text + "\n" + parts.text();
}

std::string stations(const Result& result) {
    Table table({"station", "utilisation", "queue", "waiting", "service"});
    for (const Station& station : result.stations) {
        table.add({station.name,
                   percent_text(station.utilisation),
                   plain_text(station.queue_length),
                   time_text(station.waiting_s),
                   time_text(station.service_s)});
    }
    return table.empty() ? "" : "\n" + table.text();
}

std::string faults(const Result& result) {
    Table table({"fault", "at", "for", "waiting", "at most", "clears after", "failed"}, 1);
    for (const Fault& fault : result.faults) {
        table.add({fault.kind,
                   time_text(fault.at_s),
                   fault.lasts_s ? time_text(*fault.lasts_s) : "-",
                   plain_text(fault.waiting_before),
                   plain_text(fault.waiting_peak),
                   fault.drain_s ? time_text(*fault.drain_s) : "not yet",
                   count_text(fault.failed_operations)});
    }
    return table.empty() ? "" : "\n" + table.text();
}

std::string extfuse(const Result& result) {
    Table table({"extfuse", "answered", "passed on"}, 1);
    for (const auto& [opcode, one] : result.extfuse) {
        table.add({opcode, count_text(one.answered), count_text(one.passed)});
    }
    return table.empty() ? "" : "\n" + table.text();
}

std::string slos(const Result& result) {
    Table table({"wanted", "is", ""});
    for (const SloVerdict& one : result.slo) {
        table.add(
            {one.slo, Slo::parse(one.slo).metric.text(one.value), one.met ? "met" : "MISSED"});
    }
    return table.empty() ? "" : "\n" + table.text();
}

std::string resources(const Result& result) {
    std::string text;
    if (const auto& cpu = result.cpu) {
        const double all = cpu->application_s + cpu->daemon_s + cpu->kernel_s;
        text += fmt::format("\ncpu: application {}, daemon {}, kernel {}",
                            time_text(cpu->application_s),
                            time_text(cpu->daemon_s),
                            time_text(cpu->kernel_s));
        if (result.duration_s > 0) {
            text += fmt::format(" ({:.2f} cores)", all / result.duration_s);
        }
        if (cpu->context_switches > 0) {
            text += fmt::format("\n     {} context switches",
                                count_text(static_cast<std::uint64_t>(cpu->context_switches)));
        }
        text += "\n";
    }
    std::string memory;
    constexpr std::string_view unit = "_bytes";
    for (const auto& [name, value] : result.memory) {
        memory += memory.empty() ? "memory: " : ", ";
        memory += name.ends_with(unit)
                      ? name.substr(0, name.size() - unit.size()) + " " + bytes_text(value)
                      : name + " " + plain_text(value);
    }
    text += memory.empty() ? "" : (text.empty() ? "\n" : "") + wrapped(memory);
    if (const auto& s = result.simulator) {
        text +=
            wrapped(fmt::format("simulator: {} requests, {} events, {} of CPU, {} requests per "
                                "CPU second, peak memory {}",
                                count_text(s->requests),
                                count_text(s->events),
                                time_text(s->cpu_s),
                                rate_text(s->requests_per_cpu_s),
                                bytes_text(static_cast<double>(s->peak_rss_bytes))));
    }
    return text;
}

}  // namespace

std::string text(const Result& result) {
    check(result);
    std::string text = heading(result) + operations(result) + requests(result);
    text += result.comparison ? comparison(*result.comparison) : phases(result);
    text += stations(result);
    if (result.bottleneck) {
        text += "\n" + wrapped(result.bottleneck->sentence);
    }
    text += resources(result) + extfuse(result) + faults(result) + slos(result);
    text += fmt::format("\nseed {} | config {} | fusesim {}\n",
                        result.seed,
                        config::fingerprint(result.config),
                        result.version);
    return text;
}

}  // namespace fusesim::report

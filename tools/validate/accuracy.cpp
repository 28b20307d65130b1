#include "accuracy.h"

#include "latencies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace fusesim::validate {

namespace {

double quantile(std::vector<double> values, double q) {
    if (values.empty()) {
        return 0;
    }
    std::sort(values.begin(), values.end());
    const double at = q * static_cast<double>(values.size() - 1);
    const auto low = static_cast<std::size_t>(at);
    const std::size_t high = std::min(low + 1, values.size() - 1);
    return values[low] + (values[high] - values[low]) * (at - static_cast<double>(low));
}

double median(const std::vector<double>& values) {
    return quantile(values, 0.5);
}

double share(std::size_t part, std::size_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

/// Of a round with little time at full pace, too much is cut off at the ends of that time.
bool is_good(const Reference::Round& round) {
    return round.kept_share >= 0.25;
}

bool is_phase(const Verdict& verdict) {
    return verdict.metric.rfind("phase.", 0) == 0;
}

bool is_count(const Verdict& verdict) {
    return verdict.metric.rfind("count.", 0) == 0;
}

bool holds(const Verdict& verdict, const Tolerance& tolerance) {
    const double error = std::abs(verdict.error);
    if (is_phase(verdict)) {
        return error <= tolerance.phase.fraction ||
               std::abs(verdict.predicted - verdict.reference) <= tolerance.phase_least.seconds();
    }
    const config::Percent most = is_count(verdict)                 ? tolerance.count
                                 : verdict.metric == "latency_p99" ? tolerance.p99
                                 : verdict.metric == "throughput"  ? tolerance.throughput
                                                                   : tolerance.latency;
    return error <= most.fraction;
}

/// What is promised of one number where the suite itself says nothing.
bool holds(const Verdict& verdict) {
    const double error = std::abs(verdict.error);
    if (is_count(verdict)) {
        return error <= 0.01;
    }
    if (verdict.metric == "latency_p99") {
        return error <= 0.30;
    }
    return error <= (verdict.group == "pinned_same" ? 0.15 : std::max(0.20, 2 * verdict.spread));
}

void judge(const CellResult& result,
           const std::optional<Tolerance>& tolerance,
           std::vector<Verdict>& verdicts) {
    const auto put = [&](const std::string& metric,
                         const char* unit,
                         double reference,
                         double spread,
                         double predicted) {
        Verdict verdict{result.cell.name,
                        result.cell.group,
                        metric,
                        unit,
                        reference,
                        spread,
                        predicted,
                        0,
                        result.cell.calibration};
        verdict.error = reference != 0 ? (predicted - reference) / reference : predicted != 0;
        verdict.ok = tolerance ? holds(verdict, *tolerance) : holds(verdict);
        verdicts.push_back(verdict);
    };
    const Reference& reference = result.reference;
    const auto put_measured = [&](const std::string& metric,
                                  const char* unit,
                                  double Reference::Round::*number,
                                  double predicted) {
        const std::vector<double> values = reference.values(number);
        put(metric, unit, median(values), measure::relative_spread(values), predicted);
    };
    put_measured(
        "throughput", "1/s", &Reference::Round::ops_per_s, result.simulated.throughput.ops_per_s);
    const report::Operation* operation =
        report::find(result.simulated.operations, result.operation);
    if (operation != nullptr && operation->latency) {
        put_measured("latency_mean", "s", &Reference::Round::mean_s, operation->latency->mean);
        put_measured("latency_p99", "s", &Reference::Round::p99_s, operation->latency->p99);
    }
    if (reference.recorded_steps == 0) {
        return;
    }
    // Requests for each operation. How many forgets share a message is a matter of timing.
    std::map<std::string, std::pair<double, double>> counts;
    for (const auto& [opcode, request] : reference.recorded.requests) {
        counts[opcode].first =
            static_cast<double>(request.count) / static_cast<double>(reference.recorded_steps);
    }
    for (const auto& [opcode, request] : result.simulated_pass.requests) {
        counts[opcode].second =
            static_cast<double>(request.count) / static_cast<double>(reference.recorded_steps);
    }
    for (const auto& [opcode, count] : counts) {
        // Once a second or at the end of the run: not what an operation makes.
        const bool rare = std::max(count.first, count.second) < 1e-3;
        if (!rare && opcode.find("FORGET") == std::string::npos) {
            put("count." + opcode, "1/operation", count.first, 0, count.second);
        }
    }
    if (!tolerance) {
        return;
    }
    for (const auto& recorded : reference.recorded.requests) {
        const std::string& opcode = recorded.first;
        const report::Request& request = recorded.second;
        const report::Request* simulated = report::find(result.simulated_pass.requests, opcode);
        if (simulated == nullptr || !simulated->phases || !request.phases) {
            continue;
        }
        const auto put_phase = [&](const char* name, std::optional<double> report::Phases::*phase) {
            const std::optional<double> measured = *request.phases.*phase;
            if (measured) {
                put(fmt::format("phase.{}.{}", name, opcode),
                    "s",
                    *measured,
                    0,
                    (*simulated->phases.*phase).value_or(0));
            }
        };
        put_phase("queue", &report::Phases::queue);
        put_phase("processing", &report::Phases::processing);
        put_phase("reply", &report::Phases::reply);
    }
}

bool differ_in_one(const Cell& a, const Cell& b) {
    if (a.parts.size() != b.parts.size()) {
        return false;
    }
    int differences = 0;
    for (std::size_t i = 0; i < a.parts.size(); ++i) {
        differences += a.parts[i] != b.parts[i] ? 1 : 0;
    }
    return differences == 1;
}

std::vector<Change> changes(const std::vector<CellResult>& results) {
    std::vector<Change> all;
    for (std::size_t i = 0; i < results.size(); ++i) {
        for (std::size_t j = i + 1; j < results.size(); ++j) {
            const CellResult& a = results[i];
            const CellResult& b = results[j];
            if (!differ_in_one(a.cell, b.cell) || a.operation != b.operation) {
                continue;
            }
            Change change{a.cell.name, b.cell.name};
            const std::vector<double> rate_a = a.reference.values(&Reference::Round::ops_per_s);
            const std::vector<double> rate_b = b.reference.values(&Reference::Round::ops_per_s);
            change.reference_ratio = median(rate_b) / median(rate_a);
            change.predicted_ratio =
                b.simulated.throughput.ops_per_s / a.simulated.throughput.ops_per_s;
            const double spread =
                measure::relative_spread(rate_a) + measure::relative_spread(rate_b);
            if (std::abs(std::log(change.reference_ratio)) <= spread) {
                continue;  // not different
            }
            change.error = change.predicted_ratio / change.reference_ratio - 1;
            change.right_direction = (change.reference_ratio > 1) == (change.predicted_ratio > 1);
            all.push_back(change);
        }
    }
    return all;
}

ChangeSummary summarise(const std::vector<Change>& all) {
    std::vector<double> errors;
    std::size_t right = 0;
    for (const Change& change : all) {
        errors.push_back(std::abs(change.error));
        right += change.right_direction ? 1 : 0;
    }
    return {share(right, all.size()), median(errors)};
}

/// How many of some numbers are good.
struct Tally {
    std::size_t good = 0;
    std::size_t all = 0;

    void add(bool is_good) {
        good += is_good ? 1 : 0;
        ++all;
    }

    double share_or(double none) const { return all > 0 ? share(good, all) : none; }
};

Summary summarise(const std::string& group, const std::vector<Verdict>& verdicts) {
    Summary summary;
    summary.group = group;
    std::vector<double> errors;
    Tally within;
    Tally tails;
    Tally phases;
    Tally counts;
    for (const Verdict& verdict : verdicts) {
        if (verdict.group != group || verdict.calibration) {
            continue;
        }
        if (verdict.metric == "latency_p99") {
            tails.add(std::abs(verdict.error) <= 0.30);
        } else if (verdict.metric == "throughput" || verdict.metric == "latency_mean") {
            errors.push_back(std::abs(verdict.error));
            within.add(verdict.ok);
        } else {
            (is_phase(verdict) ? phases : counts).add(verdict.ok);
        }
    }
    summary.n = errors.size();
    summary.median = median(errors);
    summary.p90 = quantile(errors, 0.9);
    summary.worst = quantile(errors, 1);
    summary.within = within.share_or(0);
    summary.p99_within = tails.share_or(0);
    summary.phases_within = phases.share_or(1);
    summary.counts_within = counts.share_or(1);
    return summary;
}

}  // namespace

unsigned Reference::good_rounds() const {
    return static_cast<unsigned>(std::count_if(rounds.begin(), rounds.end(), is_good));
}

std::vector<double> Reference::values(double Round::*number) const {
    std::vector<double> out;
    for (const Round& round : rounds) {
        if (is_good(round)) {
            out.push_back(round.*number);
        }
    }
    return out;
}

void add_requests(Reference& reference, const measure::Measured& measured) {
    reference.recorded = measured.result;
    reference.recorded_steps = measured.recorded_steps;
}

void add_round(Reference& reference,
               const measure::Measured& measured,
               const std::string& operation,
               double slowness) {
    for (const measure::Repeat& repeat : measured.repeats) {
        const report::Operation* found = report::find(repeat.operations, operation);
        if (found != nullptr && found->latency) {
            reference.rounds.push_back({repeat.ops_per_s * slowness,
                                        found->latency->mean / slowness,
                                        found->latency->p99 / slowness,
                                        repeat.kept_share});
        }
    }
    reference.own_s = measured.own_ns * 1e-9;
}

bool passes(const Accuracy& accuracy, const std::optional<Bounds>& bounds) {
    if (!bounds) {
        return std::all_of(
            accuracy.verdicts.begin(), accuracy.verdicts.end(), [](const Verdict& verdict) {
                return verdict.ok || verdict.calibration;
            });
    }
    const bool directions = accuracy.changes.empty() ||
                            accuracy.change_summary.right_direction >= bounds->direction.fraction;
    return directions &&
           std::all_of(
               accuracy.summaries.begin(), accuracy.summaries.end(), [&](const Summary& summary) {
                   const GroupBounds* most = bounds->of(summary.group);
                   return most != nullptr && summary.median <= most->median.fraction &&
                          summary.worst <= most->worst.fraction &&
                          summary.phases_within >= most->phases.fraction &&
                          summary.counts_within >= most->counts.fraction;
               });
}

Accuracy compare(const std::vector<CellResult>& results,
                 const std::optional<Tolerance>& tolerance) {
    Accuracy accuracy;
    std::vector<std::string> groups;
    for (const CellResult& result : results) {
        judge(result, tolerance, accuracy.verdicts);
        if (std::find(groups.begin(), groups.end(), result.cell.group) == groups.end()) {
            groups.push_back(result.cell.group);
        }
    }
    accuracy.changes = changes(results);
    accuracy.change_summary = summarise(accuracy.changes);
    for (const std::string& group : groups) {
        accuracy.summaries.push_back(summarise(group, accuracy.verdicts));
    }
    return accuracy;
}

}  // namespace fusesim::validate

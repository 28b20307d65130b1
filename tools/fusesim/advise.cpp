#include "commands.h"
#include "config/error.h"
#include "config/map.h"
#include "experiments.h"
#include "judge.h"
#include "knobs.h"
#include "report/numbers.h"
#include "report/repeats.h"
#include "write_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::commands {

namespace {

using config::Json;
using report::Result;

constexpr double least_gain = 0.01;
constexpr double worth_telling = 0.05;  // what else changes, for the worse

struct AdviseOptions : Experiments::Options {
    std::string goal;
    unsigned repeat = 3;
    std::uint64_t seed = 1;
    std::string json;
};

/// Another number that a change makes worse.
struct Side {
    std::string what;
    double change;
};

struct Tried {
    sweep::Settings settings;
    std::string reason;
    std::string risk;
    std::vector<Result> runs;
    plan::Change change;      // of the goal, as it is
    double gain = 0;          // how much better it is; below 0 it is worse
    std::vector<Side> worse;  // what else it makes worse
};

struct Impossible {
    sweep::Settings settings;
    std::string why;
};

/// "+12.3 %", or "x 45" where a percentage says little.
std::string change_text(double change) {
    return change < 9 ? report::error_text(change) : fmt::format("x {:.0f}", change + 1);
}

class Advice {
  public:
    explicit Advice(const AdviseOptions& options) : options_(options), experiments_(options) {}

    int give() {
        before_ = simulate({{}}).front();
        goal_ = goal();
        consider();
        combine();
        deliver(options_.json, json().dump(2) + "\n", text());
        return fine;
    }

  private:
    /// A closed loop has its rate to gain, all else its latency.
    report::Metric goal() const {
        if (!options_.goal.empty()) {
            try {
                return report::Metric(options_.goal);
            } catch (const config::Mismatch& mismatch) {
                throw config::Error(
                    {"command line"}, fmt::format("--goal {}", mismatch.what()), mismatch.hint());
            }
        }
        const auto own = experiments_.plan({});
        const bool closed = own.scenario.workload.trace.empty() && !own.scenario.workload.rate;
        return report::Metric(closed ? "ops_per_s" : "mean");
    }

    /// All runs of each of the variants.
    std::vector<std::vector<Result>> simulate(const std::vector<sweep::Settings>& variants) {
        std::vector<Experiment> all;
        for (const sweep::Settings& settings : variants) {
            for (unsigned i = 0; i < options_.repeat; ++i) {
                sweep::Settings one = settings;
                one.emplace_back("run.repeat", "1");
                one.emplace_back("run.seed", std::to_string(options_.seed + i));
                all.push_back(experiments_.plan(one));
            }
        }
        const std::string what = variants.size() == 1
                                     ? std::string("simulating the scenario")
                                     : fmt::format("simulating {} changes", variants.size());
        if (const int status = experiments_.run(all, what); status != fine) {
            throw Ended{status};
        }
        std::vector<std::vector<Result>> results(variants.size());
        for (std::size_t i = 0; i < all.size(); ++i) {
            results[i / options_.repeat].push_back(experiments_.result(all[i]).value());
        }
        return results;
    }

    /// The scenario with all that the simulator fills in.
    system::Scenario effective() const {
        const auto document =
            config::Document::parse(before_.front().config.dump(), options_.scenario);
        return config::read<system::Scenario>(document);
    }

    Tried judged(plan::Knob knob, std::vector<Result> runs) const {
        Tried one{std::move(knob.settings),
                  std::move(knob.reason),
                  std::move(knob.risk),
                  std::move(runs),
                  {},
                  0,
                  {}};
        one.change = plan::change(goal_, before_, one.runs);
        // Half the time is a gain of 100 %, as is twice the rate.
        one.gain = goal_.less_is_better() ? 1 / (1 + one.change.mean) - 1 : one.change.mean;
        one.worse = worse(one.runs);
        return one;
    }

    /// Latencies of other calls, and CPU time a call, that grow noticeably.
    std::vector<Side> worse(const std::vector<Result>& runs) const {
        std::vector<Side> out;
        const auto look = [&](const auto& named) {
            for (const auto& [name, value] : named) {
                const report::Metric metric(name + ".mean");
                const bool everywhere =
                    std::all_of(runs.begin(), runs.end(), [&name = name](const Result& run) {
                        const auto* operation = report::find(run.operations, name);
                        const auto* request = report::find(run.requests, name);
                        return (operation && operation->latency) || (request && request->latency);
                    });
                if (!value.latency || !everywhere || metric == goal_) {
                    continue;
                }
                const plan::Change change = plan::change(metric, before_, runs);
                if (change.mean > 0 && change.matters(worth_telling)) {
                    out.push_back({name, change.mean});
                }
            }
        };
        look(before_.front().operations);
        if (before_.front().operations.empty()) {
            look(before_.front().requests);
        }
        if (const auto cpu = cpu_change(runs); cpu && *cpu > worth_telling) {
            out.push_back({"CPU time of an operation", *cpu});
        }
        return out;
    }

    std::optional<double> cpu_change(const std::vector<Result>& runs) const {
        const auto each = [](const std::vector<Result>& all) {
            double cores = 0;
            double rate = 0;
            for (const Result& run : all) {
                cores += run.cpu ? report::Metric("cores").of(run) : 0;
                rate += run.throughput.ops_per_s;
            }
            return rate > 0 ? cores / rate : 0;
        };
        const double a = each(before_);
        return a > 0 ? std::optional(each(runs) / a - 1) : std::nullopt;
    }

    void consider() {
        std::vector<plan::Knob> possible;
        std::vector<sweep::Settings> variants;
        const bool own_host = experiments_.plan({}).scenario.host.has_value();
        for (plan::Knob& knob : plan::knobs(effective())) {
            if (!own_host && knob.settings.front().first.starts_with("host.")) {
                continue;  // the built-in machine is what it is
            }
            try {
                experiments_.plan(knob.settings);
            } catch (const config::Error& error) {
                impossible_.push_back({knob.settings, first_complaint(error.what())});
                continue;
            }
            variants.push_back(knob.settings);
            possible.push_back(std::move(knob));
        }
        std::vector<std::vector<Result>> runs = simulate(variants);
        for (std::size_t i = 0; i < possible.size(); ++i) {
            tried_.push_back(judged(std::move(possible[i]), std::move(runs[i])));
        }
        std::stable_sort(tried_.begin(), tried_.end(), [](const Tried& a, const Tried& b) {
            return a.gain > b.gain;
        });
    }

    /// The line that says what is wrong, without its place.
    static std::string first_complaint(const std::string& text) {
        const std::string mark = "error: ";
        const std::size_t at = text.find(mark);
        const std::size_t begin = at == std::string::npos ? 0 : at + mark.size();
        return text.substr(begin, text.find('\n', begin) - begin);
    }

    static bool helps(const Tried& one) { return one.gain > 0 && one.change.matters(least_gain); }

    /// The best change, then what still gains on top of it, the best first.
    void combine() {
        for (const Tried& one : tried_) {
            if (!helps(one)) {
                continue;
            }
            if (!together_) {
                together_ = one;
                continue;
            }
            sweep::Settings both = together_->settings;
            if (std::any_of(one.settings.begin(), one.settings.end(), [&](const auto& setting) {
                    return std::any_of(both.begin(), both.end(), [&](const auto& there) {
                        return there.first == setting.first;
                    });
                })) {
                continue;
            }
            both.insert(both.end(), one.settings.begin(), one.settings.end());
            try {
                experiments_.plan(both);
            } catch (const config::Error&) {
                continue;  // the two exclude each other
            }
            Tried next = judged({both, "", ""}, simulate({both}).front());
            const plan::Change step = plan::change(goal_, together_->runs, next.runs);
            const bool better = goal_.less_is_better() ? step.mean < 0 : step.mean > 0;
            if (better && step.matters(least_gain)) {
                together_ = std::move(next);
            }
        }
    }

    double mean(const std::vector<Result>& runs) const {
        double sum = 0;
        for (const Result& run : runs) {
            sum += goal_.of(run);
        }
        return sum / static_cast<double>(runs.size());
    }

    std::string interval_text(const Tried& one) const {
        return one.change.interval ? fmt::format("{} to {}",
                                                 change_text(one.change.interval->low),
                                                 change_text(one.change.interval->high))
                                   : "";
    }

    std::string text() const {
        std::string out = fmt::format("{} is {} now", goal_.name(), goal_.text(mean(before_)));
        const auto& busiest = report::pooled(before_).bottleneck;
        out += ".\n" + (busiest ? report::wrapped(busiest->sentence) : "");
        report::Table table({"change", goal_.name(), "change", "95 % interval"});
        std::string reasons;
        std::string useless;
        std::string harmful;
        std::string open;
        for (const Tried& one : tried_) {
            const std::string name = sweep::to_text(one.settings);
            if (helps(one)) {
                table.add({name,
                           goal_.text(mean(one.runs)),
                           change_text(one.change.mean),
                           interval_text(one)});
                reasons +=
                    "\n" + name + "\n" + indented("why", one.reason) + indented("takes", one.risk);
                for (const Side& side : one.worse) {
                    reasons += indented(
                        "worse", fmt::format("{} {}", side.what, report::error_text(side.change)));
                }
            } else {
                const bool small = std::abs(one.change.mean) < least_gain;
                std::string& list = small ? useless : one.change.certain() ? harmful : open;
                list += (list.empty() ? "" : ", ") + name +
                        (small ? "" : " (" + change_text(one.change.mean) + ")");
            }
        }
        if (table.empty()) {
            out += "\nNo setting helps: " + limit(busiest) + "\n";
        } else {
            out += "\n" + table.text() + reasons;
        }
        if (together_ && together_->reason.empty()) {
            out += fmt::format("\nTogether: {} {} ({})\n",
                               goal_.name(),
                               goal_.text(mean(together_->runs)),
                               change_text(together_->change.mean));
            out += "    --set " + joined(together_->settings, " --set ") + "\n";
        }
        out += useless.empty() ? "" : "\n" + report::wrapped("No difference: " + useless + ".");
        out += open.empty() ? ""
                            : "\n" + report::wrapped(
                                         "Not certain, for a longer run or more "
                                         "--repeat: " +
                                         open + ".");
        out += harmful.empty() ? "" : "\n" + report::wrapped("Worse: " + harmful + ".");
        if (!impossible_.empty()) {
            out += "\nNot possible here:\n";
            for (const Impossible& one : impossible_) {
                out += report::wrapped(sweep::to_text(one.settings) + ": " + one.why);
            }
        }
        return out;
    }

    static std::string joined(const sweep::Settings& settings, const std::string& between) {
        std::string out;
        for (const auto& [key, value] : settings) {
            const bool quote = value.find_first_of(" []") != std::string::npos;
            out += (out.empty() ? "" : between) +
                   (quote ? fmt::format("'{}={}'", key, value) : key + "=" + value);
        }
        return out;
    }

    static std::string indented(const std::string& head, const std::string& text) {
        return fmt::format("    {:<7}{}\n", head, text);
    }

    static std::string limit(const std::optional<report::Bottleneck>& busiest) {
        return busiest && busiest->utilisation >= 0.7
                   ? fmt::format(
                         "{} is busy {} of the time, and nothing that can be set here "
                         "makes it faster.",
                         busiest->station,
                         report::percent_text(busiest->utilisation))
                   : "the time goes where none of them reaches, to the backend or the callers.";
    }

    Json json_of(const Tried& one) const {
        Json out{{"set", Json::object()},
                 {"value", mean(one.runs)},
                 {"change", one.change.mean},
                 {"helps", helps(one)}};
        for (const auto& [key, value] : one.settings) {
            out["set"][key] = value;
        }
        if (one.change.interval) {
            out["ci95"] = {{"low", one.change.interval->low}, {"high", one.change.interval->high}};
        }
        if (!one.reason.empty()) {
            out["reason"] = one.reason;
            out["risk"] = one.risk;
        }
        for (const Side& side : one.worse) {
            out["worse"][side.what] = side.change;
        }
        return out;
    }

    Json json() const {
        Json out{{"schema_version", 1},
                 {"goal", goal_.name()},
                 {"now", mean(before_)},
                 {"changes", Json::array()},
                 {"together", together_ ? json_of(*together_) : Json()},
                 {"impossible", Json::array()}};
        for (const Tried& one : tried_) {
            out["changes"].push_back(json_of(one));
        }
        for (const Impossible& one : impossible_) {
            Json settings = Json::object();
            for (const auto& [key, value] : one.settings) {
                settings[key] = value;
            }
            out["impossible"].push_back({{"set", std::move(settings)}, {"why", one.why}});
        }
        return out;
    }

    AdviseOptions options_;
    Experiments experiments_;
    std::vector<Result> before_;
    report::Metric goal_;
    std::vector<Tried> tried_;
    std::vector<Impossible> impossible_;
    std::optional<Tried> together_;
};

int run_advise(const AdviseOptions& options) {
    try {
        return Advice(options).give();
    } catch (const Ended& ended) {
        if (ended.status == Experiments::interrupted) {
            say_interrupted();
        }
        return ended.status;
    }
}

}  // namespace

void add_advise(CLI::App& program, int& status) {
    CLI::App& command =
        *program.add_subcommand("advise", "which settings would help, ranked, with what they take");
    auto options = std::make_shared<AdviseOptions>();
    options->add_to(command);
    command
        .add_option("--goal",
                    options->goal,
                    "what is to get better, e.g. read.p99 (default: ops_per_s of a closed loop, "
                    "else the mean latency of all calls)")
        ->type_name("METRIC");
    command.add_option("--repeat", options->repeat, "runs of each change, with other seeds")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    command.add_option("--seed", options->seed, "seed of the first run (default 1)");
    command.add_option("--json", options->json, "write the advice as JSON to a file, or -")
        ->type_name("FILE");
    command.callback([options, &status] { status = run_advise(*options); });
}

}  // namespace fusesim::commands

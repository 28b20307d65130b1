#include "commands.h"
#include "config/error.h"
#include "config/map.h"
#include "experiments.h"
#include "judge.h"
#include "report/numbers.h"
#include "scale.h"
#include "search.h"
#include "write_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::commands {

namespace {

using config::Json;
using report::Result;

constexpr unsigned more_runs = 4;  // times --repeat, where the first ones do not decide
constexpr double served = 0.95;    // of an offered rate

struct CapacityOptions : Experiments::Options {
    std::vector<std::string> slos;
    std::string vary;
    std::string range;
    std::string find;
    unsigned repeat = 3;
    std::uint64_t seed = 1;
    std::string json;
};

/// What one value of the setting leads to.
struct Evaluation {
    std::vector<Result> runs;
    std::vector<plan::Judged> slos;
    bool good = false;

    const Result& first() const { return runs.front(); }
};

std::optional<std::string> setting_text(const Json& config, const std::string& key) {
    const Json* at = &config;
    std::size_t begin = 0;
    while (begin <= key.size()) {
        const std::size_t end = std::min(key.find('.', begin), key.size());
        const std::string name = key.substr(begin, end - begin);
        if (!at->is_object() || !at->contains(name)) {
            return std::nullopt;
        }
        at = &at->at(name);
        begin = end + 1;
    }
    if (at->is_null() || at->is_structured()) {
        return std::nullopt;
    }
    return at->is_string() ? at->get<std::string>() : at->dump();
}

/// A load is wanted as large as possible, a machine as small as possible.
bool wants_largest(const CapacityOptions& options, const std::string& key) {
    return options.find.empty() ? key.starts_with("workload.") : options.find == "largest";
}

class Capacity {
  public:
    explicit Capacity(const CapacityOptions& options)
        : options_(options),
          experiments_(options),
          own_(experiments_.plan({})),
          slos_(own_.scenario.slo),
          scale_(vary(), options.range),
          largest_(wants_largest(options, scale_.key())) {
        for (const std::string& text : options.slos) {
            slos_.push_back(config::parse<report::Slo>(text, "--slo"));
        }
        if (slos_.empty()) {
            throw config::Error({"command line"},
                                "there is nothing to meet",
                                "--slo 'read.p99 < 2 ms', or slo: in the scenario");
        }
    }

    int answer() {
        start_ = own_value();
        plan::Bounds bounds;
        bounds.low = scale_.low();
        bounds.high = scale_.high();
        bounds.start = start_.value_or(scale_.low());
        bounds.whole = scale_.whole();
        bounds.largest = largest_;
        found_ = plan::search(bounds, [this](double value) { return at(value).good; });
        deliver(options_.json, json().dump(2) + "\n", text());
        return found_.best ? fine : missed;
    }

  private:
    std::string vary() const {
        if (!options_.vary.empty()) {
            return options_.vary;
        }
        const system::WorkloadConfig& workload = own_.scenario.workload;
        return !workload.trace.empty() ? "workload.speed"
               : workload.rate         ? "workload.rate"
                                       : "workload.threads";
    }

    std::vector<Result> simulate(const sweep::Settings& settings, unsigned from, unsigned to) {
        std::vector<Experiment> all;
        for (unsigned i = from; i < to; ++i) {
            sweep::Settings one = settings;
            one.emplace_back("run.repeat", "1");
            one.emplace_back("run.seed", std::to_string(options_.seed + i));
            all.push_back(experiments_.plan(one));
        }
        const std::string what = settings.empty() ? "the scenario" : sweep::to_text(settings);
        if (const int status = experiments_.run(all, what); status != fine) {
            throw Ended{status};
        }
        std::vector<Result> results;
        for (const Experiment& one : all) {
            results.push_back(experiments_.result(one).value());
        }
        return results;
    }

    std::optional<double> own_value() {
        const Result own = simulate({}, 0, 1).front();
        const auto text = setting_text(own.config, scale_.key());
        return text ? scale_.value(*text) : std::nullopt;
    }

    void judge(Evaluation& evaluation) {
        evaluation.slos = plan::judge(slos_, evaluation.runs);
        if (own_.scenario.workload.rate) {
            const auto text = setting_text(evaluation.first().config, "workload.rate");
            const double offered =
                config::Format<config::Rate>::parse(text.value_or("")).per_second;
            evaluation.slos.push_back(plan::judge(
                report::Slo::parse(fmt::format("ops_per_s >= {:.6g} iops", offered * served)),
                evaluation.runs));
        }
        evaluation.good = plan::all_met(evaluation.slos);
    }

    const Evaluation& at(double value) {
        if (const auto found = seen_.find(value); found != seen_.end()) {
            return found->second;
        }
        const sweep::Settings settings{{scale_.key(), scale_.text(value)}};
        Evaluation evaluation;
        evaluation.runs = simulate(settings, 0, options_.repeat);
        judge(evaluation);
        if (options_.repeat >= 3 && !plan::all_certain(evaluation.slos)) {
            const auto more = simulate(settings, options_.repeat, options_.repeat * more_runs);
            evaluation.runs.insert(evaluation.runs.end(), more.begin(), more.end());
            judge(evaluation);
        }
        std::string line = sweep::to_text(settings) + (evaluation.good ? " met:" : " missed:");
        for (const plan::Judged& one : evaluation.slos) {
            line += fmt::format(" {} {}", one.slo.metric.name(), one.slo.metric.text(one.mean));
        }
        fmt::print(stderr, "{}\n", line);
        return seen_.emplace(value, std::move(evaluation)).first->second;
    }

    double mean(const Evaluation& evaluation, double (*get)(const Result&)) const {
        double sum = 0;
        for (const Result& run : evaluation.runs) {
            sum += get(run);
        }
        return sum / static_cast<double>(evaluation.runs.size());
    }

    static double rate_of(const Result& run) { return run.throughput.ops_per_s; }

    static double daemon_cores(const Result& run) {
        return run.cpu && run.duration_s > 0
                   ? (run.cpu->daemon_s + run.cpu->daemon_kernel_s) / run.duration_s
                   : 0;
    }

    /// The value at which throughput over the time in the system is greatest (Kleinrock's power):
    /// beyond it, waiting grows faster than what is served. Nothing at the ends of what was seen.
    std::optional<double> knee() const {
        std::optional<double> best;
        double most = 0;
        for (const auto& [value, evaluation] : seen_) {
            double time = 0;  // of all calls, by Little's law the number of callers inside
            for (const auto& [name, operation] : evaluation.first().operations) {
                time += operation.latency ? operation.per_s * operation.latency->mean : 0;
            }
            const double rate = mean(evaluation, rate_of);
            const double power = time > 0 ? rate * rate / time : 0;
            if (power > most) {
                most = power;
                best = value;
            }
        }
        const bool inside = best && *best != seen_.begin()->first && *best != seen_.rbegin()->first;
        return inside ? best : std::nullopt;
    }

    /// Where the system gives way: at the first value that is too much, else at the answer.
    const Evaluation& limit() const {
        return seen_.at(found_.beyond ? *found_.beyond : *found_.best);
    }

    std::optional<double> headroom() const {
        if (!found_.best || !start_) {
            return std::nullopt;
        }
        return *found_.best / *start_ - 1;
    }

    std::string curve() const {
        std::vector<std::string> header{scale_.key().substr(scale_.key().rfind('.') + 1), "ops/s"};
        for (const plan::Judged& one : seen_.begin()->second.slos) {
            header.push_back(one.slo.metric.name());
        }
        header.insert(header.end(), {"", "busiest"});
        report::Table table(header);
        for (const auto& [value, evaluation] : seen_) {
            std::vector<std::string> row{scale_.text(value),
                                         report::rate_text(mean(evaluation, rate_of))};
            for (const plan::Judged& one : evaluation.slos) {
                row.push_back(one.slo.metric.text(one.mean));
            }
            const auto& busiest = evaluation.first().bottleneck;
            row.push_back(evaluation.good ? "met" : "MISSED");
            row.push_back(
                busiest ? busiest->station + " " + report::percent_text(busiest->utilisation) : "");
            table.add(row);
        }
        return table.text();
    }

    std::string wanted(const Evaluation& evaluation) const {
        report::Table table({"wanted", "is", "95 % interval", ""});
        for (const plan::Judged& one : evaluation.slos) {
            const report::Metric& metric = one.slo.metric;
            table.add({one.slo.text,
                       metric.text(one.mean),
                       one.interval ? metric.text(one.interval->low) + " to " +
                                          metric.text(one.interval->high)
                                    : "-",
                       one.met       ? "met"
                       : one.certain ? "MISSED"
                                     : "not certain"});
        }
        return table.text();
    }

    std::string text() const {
        const char* const end = largest_ ? "largest" : "smallest";
        std::string out;
        if (!found_.best) {
            out = fmt::format("No {} from {} to {} meets what is wanted.\n",
                              scale_.key(),
                              scale_.text(scale_.low()),
                              scale_.text(scale_.high()));
            return out + "\n" + wanted(limit()) + "\n" + limiting() + "\n" + curve();
        }
        const Evaluation& best = seen_.at(*found_.best);
        out = fmt::format("{}: {} is the {} that meets what is wanted{}.\n",
                          scale_.key(),
                          scale_.text(*found_.best),
                          end,
                          found_.beyond ? "" : ", and the last that was to be tried");
        if (const auto room = headroom()) {
            out += fmt::format(
                "The scenario has {}: headroom {:+.0f} %.\n", scale_.text(*start_), *room * 100);
        }
        out += "\n" + wanted(best) + "\n" + limiting() + needs(best) + "\n" + curve();
        if (const auto at_knee = knee(); at_knee && largest_) {
            out +=
                fmt::format("\nKnee at {}: beyond it, waiting grows faster than what is served.\n",
                            scale_.text(*at_knee));
        }
        return out;
    }

    std::string limiting() const {
        const auto& busiest = limit().first().bottleneck;
        if (!busiest) {
            return "";
        }
        const std::string where =
            found_.beyond ? fmt::format("At {}: ", scale_.text(*found_.beyond)) : std::string();
        return report::wrapped(where + busiest->sentence);
    }

    /// CPU and memory of the process that holds the daemon.
    std::string needs(const Evaluation& evaluation) const {
        const double cores = mean(evaluation, daemon_cores);
        if (cores <= 0) {
            return "";
        }
        std::string out = fmt::format("The daemon needs {:.2f} cores", cores);
        if (const auto bytes = buffers(evaluation)) {
            out += fmt::format(", and {} for its workers' buffers beside its own memory",
                               report::bytes_text(*bytes));
        }
        return out + ".\n";
    }

    static std::optional<double> buffers(const Evaluation& evaluation) {
        const double* const bytes = report::find(evaluation.first().memory, "daemon_buffers_bytes");
        return bytes != nullptr ? std::optional(*bytes) : std::nullopt;
    }

    Json point(double value, const Evaluation& evaluation) const {
        Json out{{"value", scale_.in_unit(value)},
                 {"set", {{scale_.key(), scale_.text(value)}}},
                 {"met", evaluation.good},
                 {"runs", evaluation.runs.size()},
                 {"ops_per_s", mean(evaluation, rate_of)}};
        for (const plan::Judged& one : evaluation.slos) {
            Json slo{{"slo", one.slo.text}, {"value", one.mean}, {"met", one.met}};
            if (one.interval) {
                slo["ci95"] = {{"low", one.interval->low}, {"high", one.interval->high}};
            }
            out["slo"].push_back(std::move(slo));
        }
        if (const auto& busiest = evaluation.first().bottleneck) {
            out["bottleneck"] = {{"station", busiest->station},
                                 {"utilisation", busiest->utilisation}};
        }
        out["daemon_cores"] = mean(evaluation, daemon_cores);
        return out;
    }

    Json json() const {
        Json out{{"schema_version", 1}, {"slo", Json::array()}, {"vary", scale_.key()}};
        for (const report::Slo& slo : slos_) {
            out["slo"].push_back(slo.text);
        }
        const auto number = [](const std::optional<double>& value) {
            return value ? Json(*value) : Json();
        };
        out["find"] = largest_ ? "largest" : "smallest";
        out["answer"] = found_.best ? Json(scale_.in_unit(*found_.best)) : Json();
        out["set"] = found_.best ? Json(scale_.text(*found_.best)) : Json();
        out["unit"] = scale_.unit();
        out["headroom"] = number(headroom());
        const auto& busiest = limit().first().bottleneck;
        out["limited_by"] = busiest ? Json(busiest->station) : Json();
        out["knee"] = number(largest_ ? knee() : std::nullopt);
        if (found_.best) {
            const Evaluation& best = seen_.at(*found_.best);
            out["daemon"] = {{"cores", mean(best, daemon_cores)},
                             {"buffers_bytes", number(buffers(best))}};
        }
        for (const auto& [value, evaluation] : seen_) {
            out["points"].push_back(point(value, evaluation));
        }
        return out;
    }

    CapacityOptions options_;
    Experiments experiments_;
    Experiment own_;
    std::vector<report::Slo> slos_;
    plan::Scale scale_;
    bool largest_;
    std::optional<double> start_;  // the scenario's own value
    std::map<double, Evaluation> seen_;
    plan::Found found_;
};

int run_capacity(const CapacityOptions& options) {
    try {
        return Capacity(options).answer();
    } catch (const Ended& ended) {
        if (ended.status == Experiments::interrupted) {
            say_interrupted();
        }
        return ended.status;
    }
}

}  // namespace

void add_capacity(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand(
        "capacity", "the largest load, or the smallest machine, that meets an SLO");
    auto options = std::make_shared<CapacityOptions>();
    options->add_to(command);
    command
        .add_option("--slo",
                    options->slos,
                    "what is wanted, e.g. 'read.p99 < 2 ms'; besides the scenario's own")
        ->type_name("SLO")
        ->take_all()
        ->allow_extra_args(false);
    command
        .add_option("--vary",
                    options->vary,
                    "setting to change (default: workload.rate if it has one, else "
                    "workload.threads; of a trace workload.speed)")
        ->type_name("KEY");
    command
        .add_option("--range",
                    options->range,
                    "values to try: 1..64, or a,b,c, the most modest first (default: all up to "
                    "1024, as the setting allows)")
        ->type_name("VALUES");
    command
        .add_option("--find",
                    options->find,
                    "largest (default for workload.*) or smallest (default for all else)")
        ->check(CLI::IsMember({"largest", "smallest"}));
    command
        .add_option("--repeat",
                    options->repeat,
                    "runs of each value, with other seeds; four times as many where they do not "
                    "decide")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    command.add_option("--seed", options->seed, "seed of the first run (default 1)");
    command.add_option("--json", options->json, "write the answer as JSON to a file, or -")
        ->type_name("FILE");
    command.callback([options, &status] { status = run_capacity(*options); });
}

}  // namespace fusesim::commands

#include "report.h"

#include "report/numbers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace fusesim::validate {

using config::Json;

namespace {

std::string value_text(const Verdict& verdict, double value) {
    if (verdict.unit == "s") {
        return report::time_text(value);
    }
    return verdict.metric == "throughput" ? report::rate_text(value) : fmt::format("{:.4f}", value);
}

void add_row(std::string& out, const Verdict& verdict) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n",
                       verdict.cell,
                       verdict.metric,
                       value_text(verdict, verdict.reference),
                       report::percent_text(verdict.spread),
                       value_text(verdict, verdict.predicted),
                       report::error_text(verdict.error),
                       verdict.ok ? "ok" : "**missed**");
}

const char* const row_header =
    "| cell | metric | measured | spread | simulated | error | verdict |\n"
    "|---|---|---:|---:|---:|---:|---|\n";

/// Rows of one kind, worst first; nothing if there are none.
template <class Keep>
std::string rows(const Accuracy& accuracy, bool worst_first, Keep keep) {
    std::vector<Verdict> kept;
    std::copy_if(
        accuracy.verdicts.begin(), accuracy.verdicts.end(), std::back_inserter(kept), keep);
    if (worst_first) {
        std::stable_sort(kept.begin(), kept.end(), [](const Verdict& a, const Verdict& b) {
            return std::abs(a.error) > std::abs(b.error);
        });
    }
    std::string out;
    for (const Verdict& verdict : kept) {
        add_row(out, verdict);
    }
    return out.empty() ? "None.\n" : row_header + out;
}

std::string summary_rows(const Accuracy& accuracy) {
    std::string out =
        "| group | numbers | median error | 90th percentile | worst | within bounds | p99 within "
        "30 % |\n|---|---:|---:|---:|---:|---:|---:|\n";
    for (const Summary& summary : accuracy.summaries) {
        out += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n",
                           summary.group,
                           summary.n,
                           report::percent_text(summary.median),
                           report::percent_text(summary.p90),
                           report::percent_text(summary.worst),
                           report::percent_text(summary.within),
                           report::percent_text(summary.p99_within));
    }
    return out;
}

const char* const any_title = "# Accuracy: ";

std::string title(const std::string& suite) {
    return any_title + suite + "\n";
}

std::string promised(const std::optional<Tolerance>& tolerance) {
    if (!tolerance) {
        return "throughput and mean latency within 15 % on one pinned core, elsewhere within the "
               "larger of 20 %\nand twice the spread; p99 within 30 %; requests an operation "
               "within 1 %.";
    }
    return fmt::format(
        "throughput within {:g} %, mean latency {:g} %, p99 {:g} %, requests an operation {:g} %; "
        "mean phases of\nrequests within {:g} % or {}.",
        tolerance->throughput.fraction * 100,
        tolerance->latency.fraction * 100,
        tolerance->p99.fraction * 100,
        tolerance->count.fraction * 100,
        tolerance->phase.fraction * 100,
        report::time_text(tolerance->phase_least.seconds()));
}

/// One number that a suite is judged by as a whole.
struct Judged {
    std::string group;
    const char* what;
    bool at_most;  ///< else at least
    double reached;
    std::optional<double> asked;
    std::optional<double> promised;

    bool keeps(std::optional<double> bound) const {
        return !bound || (at_most ? reached <= *bound : reached >= *bound);
    }
};

/// Nothing for a suite that is judged number by number.
std::vector<Judged> judged(const Suite& suite, const Accuracy& accuracy) {
    std::vector<Judged> all;
    if (!suite.bounds) {
        return all;
    }
    const auto of_group = [](const std::optional<Bounds>& bounds,
                             const std::string& group,
                             config::Percent GroupBounds::*number) -> std::optional<double> {
        const GroupBounds* found = bounds ? bounds->of(group) : nullptr;
        return found != nullptr ? std::optional((found->*number).fraction) : std::nullopt;
    };
    const auto put = [&](const Summary& summary,
                         const char* what,
                         bool at_most,
                         double Summary::*reached,
                         config::Percent GroupBounds::*number) {
        all.push_back({summary.group,
                       what,
                       at_most,
                       summary.*reached,
                       of_group(suite.bounds, summary.group, number),
                       of_group(suite.promised, summary.group, number)});
    };
    for (const Summary& summary : accuracy.summaries) {
        put(summary, "median error", true, &Summary::median, &GroupBounds::median);
        put(summary, "worst error", true, &Summary::worst, &GroupBounds::worst);
        put(summary, "phases within", false, &Summary::phases_within, &GroupBounds::phases);
        put(summary, "requests within", false, &Summary::counts_within, &GroupBounds::counts);
    }
    if (!accuracy.changes.empty()) {
        all.push_back(
            {"all",
             "direction right",
             false,
             accuracy.change_summary.right_direction,
             suite.bounds->direction.fraction,
             suite.promised ? std::optional(suite.promised->direction.fraction) : std::nullopt});
    }
    return all;
}

std::vector<std::string> cells_of(const Judged& judged) {
    const auto bound_text = [&](std::optional<double> bound) {
        return bound ? fmt::format("{} {:g} %{}",
                                   judged.at_most ? "<=" : ">=",
                                   std::round(*bound * 1e4) / 100,
                                   judged.keeps(bound) ? "" : ", missed")
                     : "";
    };
    return {judged.group,
            judged.what,
            report::percent_text(judged.reached),
            bound_text(judged.asked),
            bound_text(judged.promised)};
}

std::string bounds_sentence(const Suite& suite, const Accuracy& accuracy) {
    const auto kept = [&](const std::optional<Bounds>& bounds) {
        return passes(accuracy, bounds) ? "kept" : "NOT kept";
    };
    std::string out = fmt::format("What is asked is {}", kept(suite.bounds));
    return out + (suite.promised
                      ? fmt::format("; what is promised meanwhile is {}.\n", kept(suite.promised))
                      : ".\n");
}

std::string bounds_rows(const Suite& suite, const Accuracy& accuracy) {
    std::string out = "| group | number | reached | asked | promised |\n|---|---|---:|---:|---:|\n";
    for (const Judged& one : judged(suite, accuracy)) {
        out += fmt::format("| {} |\n", fmt::join(cells_of(one), " | "));
    }
    return out;
}

std::string change_sentence(const Accuracy& accuracy) {
    return fmt::format(
        "{} pairs of cells differ in one part by more than their spread; the direction is right in "
        "{}, the ratio's median error is {}.\n",
        accuracy.changes.size(),
        report::percent_text(accuracy.change_summary.right_direction),
        report::percent_text(accuracy.change_summary.median));
}

}  // namespace

Json to_json(const std::string& suite, const Accuracy& accuracy) {
    Json out;
    out["name"] = suite;
    out["cells"] = Json::array();
    for (const Verdict& verdict : accuracy.verdicts) {
        out["cells"].push_back({{"cell", verdict.cell},
                                {"group", verdict.group},
                                {"metric", verdict.metric},
                                {"unit", verdict.unit},
                                {"reference", verdict.reference},
                                {"spread", verdict.spread},
                                {"predicted", verdict.predicted},
                                {"error", verdict.error},
                                {"role", verdict.calibration ? "calibration" : "predicted"},
                                {"ok", verdict.ok}});
    }
    out["summary"] = Json::object();
    for (const Summary& summary : accuracy.summaries) {
        out["summary"][summary.group] = {{"n", summary.n},
                                         {"median_abs_error", summary.median},
                                         {"p90_abs_error", summary.p90},
                                         {"worst_abs_error", summary.worst}};
    }
    out["changes"] = {{"n", accuracy.changes.size()},
                      {"right_direction", accuracy.change_summary.right_direction},
                      {"median_abs_error", accuracy.change_summary.median}};
    return out;
}

std::string with_section(const std::string& file,
                         const std::string& suite,
                         const std::string& section) {
    const std::size_t began = file.find(title(suite));
    if (began == std::string::npos) {
        return file + (file.empty() ? "" : "\n") + section;
    }
    const std::size_t next = file.find(any_title, began + 1);
    const std::string rest = next == std::string::npos ? "" : "\n" + file.substr(next);
    return file.substr(0, began) + section + rest;
}

std::string markdown(const Suite& suite,
                     const Accuracy& accuracy,
                     const std::vector<std::pair<std::string, std::string>>& about) {
    const auto is_count = [](const Verdict& v) { return v.metric.rfind("count.", 0) == 0; };
    const auto is_phase = [](const Verdict& v) { return v.metric.rfind("phase.", 0) == 0; };
    const bool in_guest = suite.machine == Suite::Machine::guest;
    std::string out =
        title(suite.name) + fmt::format(
                                "\nWritten by `fusesim validate --suite {}`. Each cell is a "
                                "scenario that ran on a real mount and in the\nmodel. ",
                                suite.name);
    out += in_guest
               ? "The mount was in the guest of kernel-ref/guest, whose clock counts "
                 "instructions. Spread: half the range of the\nrounds. "
               : "Measured: the median of all rounds, at the host profile's pace; spread: half "
                 "their range. ";
    out +=
        "Cells of calibration are like what\nthe host profile was made from; they are listed "
        "apart and in no summary.\n\n";
    for (const auto& [name, value] : about) {
        out += fmt::format("- {}: {}\n", name, value);
    }
    out += "\n## Missed\n\nPromised: " + promised(suite.tolerance) + "\n\n";
    out += rows(accuracy, true, [](const Verdict& v) { return !v.ok && !v.calibration; });
    out += "\n## By group\n\nThroughput and mean latency of predicted cells.\n\n" +
           summary_rows(accuracy);
    if (suite.bounds) {
        out += "\n## Asked and promised\n\n" +
               report::wrapped(bounds_sentence(suite, accuracy) +
                               "Phases and requests: shares of those numbers that are within their "
                               "tolerance (see Missed).\n") +
               "\n" + bounds_rows(suite, accuracy);
    }
    out += "\n## Changes\n\n" + change_sentence(accuracy);
    std::vector<Change> worst = accuracy.changes;
    std::stable_sort(worst.begin(), worst.end(), [](const Change& a, const Change& b) {
        return std::abs(a.error) > std::abs(b.error);
    });
    worst.resize(std::min<std::size_t>(worst.size(), 20));
    if (!worst.empty()) {
        out +=
            "\nThe twenty worst:\n\n| from | to | measured ratio | simulated ratio | error |\n"
            "|---|---|---:|---:|---:|\n";
        for (const Change& change : worst) {
            out += fmt::format("| {} | {} | {:.3f} | {:.3f} | {}{} |\n",
                               change.from,
                               change.to,
                               change.reference_ratio,
                               change.predicted_ratio,
                               report::error_text(change.error),
                               change.right_direction ? "" : " wrong direction");
        }
    }
    out += "\n## Predicted cells\n\n" + rows(accuracy, false, [&](const Verdict& v) {
               return !v.calibration && !is_count(v) && !is_phase(v);
           });
    out += "\n## Requests of each operation\n\n" +
           rows(accuracy, false, [&](const Verdict& v) { return !v.calibration && is_count(v); });
    if (suite.tolerance) {
        out +=
            "\n## Phases of requests\n\nWith what recording them costs.\n\n" +
            rows(accuracy, false, [&](const Verdict& v) { return !v.calibration && is_phase(v); });
    }
    out += "\n## Cells of calibration\n\n" +
           rows(accuracy, false, [](const Verdict& v) { return v.calibration; });
    return out;
}

std::string text(const Suite& suite, const Accuracy& accuracy) {
    report::Table table({"group", "numbers", "median", "p90", "worst", "in bounds", "p99 in 30 %"});
    for (const Summary& summary : accuracy.summaries) {
        table.add({summary.group,
                   std::to_string(summary.n),
                   report::percent_text(summary.median),
                   report::percent_text(summary.p90),
                   report::percent_text(summary.worst),
                   report::percent_text(summary.within),
                   report::percent_text(summary.p99_within)});
    }
    std::string out = table.text() + "\n" + report::wrapped(change_sentence(accuracy));
    if (suite.bounds) {
        report::Table bounds({"group", "number", "reached", "asked", "promised"});
        for (const Judged& one : judged(suite, accuracy)) {
            bounds.add(cells_of(one));
        }
        out += "\n" + bounds.text() + "\n" + report::wrapped(bounds_sentence(suite, accuracy));
    }
    return out;
}

}  // namespace fusesim::validate

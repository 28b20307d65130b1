#include "judge.h"

#include "report/repeats.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fusesim::plan {

namespace {

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::optional<report::Interval> interval(const std::vector<double>& values) {
    return values.size() >= 3 ? std::optional(report::interval95(values)) : std::nullopt;
}

}  // namespace

Judged judge(const report::Slo& slo, const std::vector<report::Result>& runs) {
    std::vector<double> values;
    for (const report::Result& run : runs) {
        values.push_back(slo.metric.of(run));
    }
    Judged out{slo, mean(values), interval(values), false, true};
    out.met = slo.holds(out.mean);
    if (out.interval) {
        const bool low = slo.holds(out.interval->low);
        const bool high = slo.holds(out.interval->high);
        out.met = low && high;
        out.certain = low == high;
    }
    return out;
}

std::vector<Judged> judge(const std::vector<report::Slo>& slos,
                          const std::vector<report::Result>& runs) {
    std::vector<Judged> out;
    for (const report::Slo& slo : slos) {
        out.push_back(judge(slo, runs));
    }
    return out;
}

bool all_met(const std::vector<Judged>& all) {
    return std::all_of(all.begin(), all.end(), [](const Judged& one) { return one.met; });
}

bool all_certain(const std::vector<Judged>& all) {
    return std::all_of(all.begin(), all.end(), [](const Judged& one) { return one.certain; });
}

bool Change::certain() const {
    return !interval || interval->low > 0 || interval->high < 0;
}

bool Change::matters(double least) const {
    return certain() && std::abs(mean) >= least;
}

Change change(const report::Metric& metric,
              const std::vector<report::Result>& a,
              const std::vector<report::Result>& b) {
    std::vector<double> changes;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double before = metric.of(a[i]);
        const double after = metric.of(b.at(i));
        changes.push_back(before != 0 ? after / before - 1 : 0);
    }
    return {mean(changes), interval(changes)};
}

}  // namespace fusesim::plan

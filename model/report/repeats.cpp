#include "report/repeats.h"

#include <cmath>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>

namespace fusesim::report {

namespace {

/// Two-sided 95 % quantile of Student's t.
double student_t(std::size_t degrees) {
    constexpr double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    if (degrees <= std::size(table)) {
        return table[degrees - 1];
    }
    return 1.960 + 2.45 / static_cast<double>(degrees);  // to 0.001
}

double mean(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

Interval interval95(const std::vector<double>& values) {
    const auto n = static_cast<double>(values.size());
    const double middle = mean(values);
    double squares = 0;
    for (const double value : values) {
        squares += (value - middle) * (value - middle);
    }
    const double half = student_t(values.size() - 1) * std::sqrt(squares / (n - 1) / n);
    return {middle - half, middle + half};
}

Result pooled(const std::vector<Result>& runs) {
    Result out = runs.front();
    auto& intervals = out.throughput.ci95;
    const auto pool =
        [&](const std::string& name, double& number, const std::vector<double>& each) {
            number = mean(each);
            if (each.size() >= 3) {
                intervals.emplace_back(name, interval95(each));
            }
        };
    const std::pair<const char*, double Throughput::*> rates[] = {
        {"ops_per_s", &Throughput::ops_per_s},
        {"read_bytes_per_s", &Throughput::read_bytes_per_s},
        {"write_bytes_per_s", &Throughput::write_bytes_per_s},
    };
    for (const auto& [name, rate] : rates) {
        std::vector<double> each;
        for (const Result& run : runs) {
            each.push_back(run.throughput.*rate);
        }
        pool(name, out.throughput.*rate, each);
    }
    for (auto& [name, operation] : out.operations) {
        std::vector<double> each;
        for (const Result& run : runs) {
            if (const Operation* same = find(run.operations, name); same && same->latency) {
                each.push_back(same->latency->mean);
            }
        }
        if (operation.latency && each.size() == runs.size()) {
            pool("latency." + name, operation.latency->mean, each);
        }
    }
    return out;
}

}  // namespace fusesim::report

#pragma once

#include "report/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace fusesim::report {

/// One way to show a result in a program of others.
struct Exporter {
    std::string_view name;
    std::string_view what;
    bool needs_details;
    std::string (*text)(const Result& result);
};

/// All of them.
const std::vector<Exporter>& exporters();

/// By name, nullptr if there is none.
const Exporter* find_exporter(std::string_view name);

/// Trace events as chrome://tracing and ui.perfetto.dev read them: stations and rates as counters
/// and, if the result has a timeline, each of its requests with its phases. Times in us from the
/// window's begin.
std::string chrome_trace(const Result& result);

/// A value change dump for waveform viewers: stations and, if the result has a timeline, how many
/// of its requests are in each phase. Times in ns from the window's begin.
std::string vcd(const Result& result);

/// What fio prints with --output-format=json, as far as a result says it; all threads are one job.
std::string fio_json(const Result& result);

}  // namespace fusesim::report

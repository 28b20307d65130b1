#pragma once

#include "points.h"
#include "report/result.h"

#include <string>
#include <vector>

namespace fusesim::sweep {

struct Point {
    Settings settings;
    report::Result result;
};

/// The points one below the other: settings, throughput (with its interval where there is one, and
/// relative to the first point), what most calls took, and what is busiest.
std::string table(const std::vector<Point>& points);

/// The same with more columns, for a spreadsheet; SI units, in full precision.
std::string csv(const std::vector<Point>& points);

/// {"schema_version":1, "points":[{"set":{...}, "result":{...}}, ...]}, indented.
std::string json_text(const std::vector<Point>& points);

}  // namespace fusesim::sweep

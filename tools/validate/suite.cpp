#include "suite.h"

#include "config/error.h"
#include "config/nearest.h"

#include <fmt/format.h>

#include <sstream>

namespace fusesim::validate {

void bind(config::Map& map, Part& part) {
    map.field("set", part.set, "settings, each key.path=value");
}

void bind(config::Map& map, Tolerance& tolerance) {
    const config::Percent none{0};
    const config::Percent most{10};
    map.field("throughput", tolerance.throughput, none, most, "error of throughputs");
    map.field("latency", tolerance.latency, none, most, "error of mean latencies");
    map.field("p99", tolerance.p99, none, most, "error of 99th percentiles");
    map.field("count", tolerance.count, none, most, "error of requests for each operation");
    map.field("phase", tolerance.phase, none, most, "error of phases of requests");
    map.field("phase_least",
              tolerance.phase_least,
              sim::Time(),
              sim::Time::from_seconds(1),
              "the same, where this is more");
}

const GroupBounds* Bounds::of(const std::string& group) const {
    auto found = groups.find(group);
    found = found == groups.end() ? groups.find("every") : found;
    return found == groups.end() ? nullptr : &found->second;
}

void bind(config::Map& map, GroupBounds& bounds) {
    const config::Percent none{0};
    const config::Percent all{1};
    map.field("median",
              bounds.median,
              none,
              config::Percent{10},
              "most that the median error of a group's throughputs and mean latencies may be");
    map.field("worst", bounds.worst, none, config::Percent{10}, "... the worst error");
    map.field("phases",
              bounds.phases,
              none,
              all,
              "least share of phases of requests that are within their tolerance");
    map.field("counts", bounds.counts, none, all, "... of numbers of requests");
}

void bind(config::Map& map, Bounds& bounds) {
    map.section("groups", bounds.groups, "by group; `every` holds for those that are not named");
    map.field("direction",
              bounds.direction,
              config::Percent{0},
              config::Percent{1},
              "least share of pairs of cells whose difference is predicted in the right direction");
}

void bind(config::Map& map, Suite& suite) {
    using Machine = Suite::Machine;
    map.field("schema_version", suite.schema_version, 1, 1, "version of this format");
    map.field("name", suite.name, "of the suite");
    map.field("machine",
              suite.machine,
              {{"here", Machine::here}, {"guest", Machine::guest}},
              "where cells are measured: here, or in the guest of kernel-ref/guest");
    map.section("tolerance", suite.tolerance, "how far from the measured the simulated may be");
    map.section("bounds",
                suite.bounds,
                "what the suite is asked for, and passes or fails by; else every number that is "
                "beyond its tolerance makes it fail");
    map.section("promised",
                suite.promised,
                "what the suite reaches, with some room; `validate --promised` passes or fails by "
                "it");
    map.field("base", suite.base, "scenario that all cells begin with");
    map.field("rounds", suite.rounds, 1, 100, "times that the whole matrix is measured");
    map.field("recorded",
              suite.recorded,
              1,
              1'000'000,
              "operations of each thread in the pass that records requests");
    map.field("groups", suite.groups, "group of the cells that have a part, by part");
    map.section("parts", suite.parts, "what cells are made of");
    map.field("calibration", suite.calibration, "cells whose like the host profile is made from");
    map.field("predicted", suite.predicted, "all other cells: names of parts, e.g. null stat same");
}

namespace {

Cell make_cell(const std::string& line,
               bool calibration,
               const Suite& suite,
               const config::Place& place) {
    Cell cell;
    cell.calibration = calibration;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
        const auto part = suite.parts.find(word);
        if (part == suite.parts.end()) {
            std::vector<std::string> known;
            for (const auto& [name, unused] : suite.parts) {
                known.push_back(name);
            }
            const std::string near = config::nearest(word, known);
            throw config::Error(place,
                                fmt::format("cell '{}' has the unknown part '{}'", line, word),
                                near.empty() ? "" : "did you mean '" + near + "'?");
        }
        cell.parts.push_back(word);
        cell.name += (cell.name.empty() ? "" : "/") + word;
        cell.overrides.insert(
            cell.overrides.end(), part->second.set.begin(), part->second.set.end());
        if (const auto group = suite.groups.find(word); group != suite.groups.end()) {
            cell.group = group->second;
        }
    }
    if (cell.group.empty()) {
        throw config::Error(place, fmt::format("cell '{}' is in no group", line));
    }
    return cell;
}

}  // namespace

std::vector<Cell> cells(const Suite& suite, const config::Document& document) {
    std::vector<Cell> all;
    for (const std::string& line : suite.calibration) {
        all.push_back(make_cell(line, true, suite, document.place("calibration")));
    }
    for (const std::string& line : suite.predicted) {
        all.push_back(make_cell(line, false, suite, document.place("predicted")));
    }
    return all;
}

}  // namespace fusesim::validate

#pragma once

#include "config/map.h"
#include "config/units.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::validate {

/// Settings that cells have in common: what "same", "read4k" or "threads4" stands for.
struct Part {
    std::vector<std::string> set;  ///< key.path=value
};

/// How far from what was measured the simulation may be.
struct Tolerance {
    config::Percent throughput{0.15};
    config::Percent latency{0.15};  ///< of means
    config::Percent p99{0.30};
    config::Percent count{0.01};  ///< requests of each operation
    config::Percent phase{0.20};  ///< of requests' mean phases; or the following, if that is more
    sim::Time phase_least = sim::Time::from_ns(500);
};

/// What the summary of one group must not exceed.
struct GroupBounds {
    config::Percent median{0.05};  ///< error of throughputs and mean latencies
    config::Percent worst{0.5};    ///< of these
    config::Percent phases{0};     ///< least share of phases of requests within their tolerance
    config::Percent counts{0};     ///< ... of numbers of requests
};

/// A suite as a whole is judged by these where they are given, and single numbers beyond their
/// tolerance are only listed.
struct Bounds {
    /// By group; `every` holds for those that are not named.
    std::map<std::string, GroupBounds> groups;
    config::Percent direction{0};  ///< least share of changes predicted in the right direction

    /// Null for a group that nothing is said of.
    const GroupBounds* of(const std::string& group) const;
};

/// A matrix of scenarios, each a choice of parts on top of one scenario.
struct Suite {
    unsigned schema_version = 1;
    std::string name;
    enum class Machine { here, guest };
    Machine machine = Machine::here;  ///< where cells are measured
    config::File base;                ///< scenario that all cells begin with
    unsigned rounds = 5;
    unsigned recorded = 2000;                   ///< operations of each thread whose requests count
    std::map<std::string, std::string> groups;  ///< by part: the group of cells that have it
    std::optional<Tolerance> tolerance;  ///< of all cells; else by group, as promised for mounts
    std::optional<Bounds> bounds;        ///< what the suite is asked for
    std::optional<Bounds> promised;      ///< what it reaches, with some room: keeps it from falling
    std::map<std::string, Part> parts;
    std::vector<std::string> calibration;  ///< cells whose like the host profile was made from
    std::vector<std::string> predicted;    ///< all others
};

void bind(config::Map& map, Part& part);
void bind(config::Map& map, Tolerance& tolerance);
void bind(config::Map& map, GroupBounds& bounds);
void bind(config::Map& map, Bounds& bounds);
void bind(config::Map& map, Suite& suite);

/// One cell: part names in the order of the suite's line.
struct Cell {
    std::string name;  ///< "null/stat/1/same"
    std::vector<std::string> parts;
    std::string group;
    bool calibration = false;
    std::vector<std::string> overrides;
};

/// Every cell, those of calibration first. Throws config::Error for a part that is not defined.
std::vector<Cell> cells(const Suite& suite, const config::Document& document);

}  // namespace fusesim::validate

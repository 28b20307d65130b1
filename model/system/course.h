#pragma once

#include "config/units.h"
#include "report/result.h"
#include "sim/statistics.h"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::system {

/// How a run went over time: rates and latencies of calls and requests, stations, in at most
/// `most_intervals` intervals that grow with the run. Reads the statistics that are kept anyway.
class Course {
  public:
    using Tallies = std::vector<std::pair<std::string, const sim::Tally*>>;

    /// Where the numbers come from. Each may gain members over time, and never loses one.
    struct Sources {
        std::function<Tallies()> operations;
        std::function<Tallies()> requests;
        std::function<std::vector<report::Station>(sim::Time)> stations;  ///< means of the window
    };

    static constexpr std::size_t most_intervals = 512;

    Course(Sources sources, sim::Time interval);

    /// The window begins: all statistics were cleared.
    void begin(sim::Time now);

    /// An interval ends. Returns the time until the next one does.
    sim::Time sample(sim::Time now);

    /// `details` of the result, see report/README.md. Call it once, at the end.
    config::Json json(sim::Time now);

  private:
    /// What happened to one kind of call, or request, within an interval.
    struct Part {
        sim::Wide sum = 0;  // ps
        sim::Histogram latencies;
    };

    /// Integrals over an interval, in seconds.
    struct StationPart {
        double busy = 0;
        double queue = 0;
    };

    struct Interval {
        sim::Time end;
        std::map<std::string, Part> operations;
        std::map<std::string, Part> requests;
        std::map<std::string, StationPart> stations;
    };

    /// What a tally held when it was looked at last.
    struct Seen {
        sim::Wide sum = 0;
        std::map<std::int64_t, std::uint64_t> counts;  // by the lower end of the bucket
    };

    static std::map<std::string, Part> difference(const Tallies& tallies,
                                                  std::map<std::string, Seen>& seen);
    void halve();
    config::Json latencies_of(std::map<std::string, Part> Interval::*member,
                              const Tallies& tallies) const;

    Sources sources_;
    sim::Time interval_;
    sim::Time begin_;
    std::vector<Interval> intervals_;
    std::map<std::string, Seen> seen_operations_;
    std::map<std::string, Seen> seen_requests_;
    std::map<std::string, StationPart> seen_stations_;
};

}  // namespace fusesim::system

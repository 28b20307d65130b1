#pragma once

#include "cache.h"
#include "config/document.h"
#include "points.h"
#include "report/result.h"
#include "system/scenario.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fusesim::commands {

/// A scenario with some settings changed, before it is simulated.
struct Experiment {
    sweep::Settings settings;
    config::Document document;
    system::Scenario scenario;
    std::string key;  ///< in the cache
};

/// Ends the command with this exit code.
struct Ended {
    int status;
};

/// Simulates many variants of one scenario: a process each, as many at a time as there are cores,
/// or an element of a Slurm job array each; and none that was simulated before.
class Experiments {
  public:
    struct Options {
        std::string scenario;
        std::vector<std::string> overrides;
        unsigned jobs = 0;  ///< 0: as many as there are cores
        std::string cache;  ///< "": the default folder
        bool fresh = false;
        bool slurm = false;
        std::vector<std::string> sbatch;  ///< with slurm: further options of sbatch

        void add_to(CLI::App& command);
    };

    explicit Experiments(const Options& options);

    /// Throws config::Error for what cannot be simulated.
    Experiment plan(const sweep::Settings& settings) const;

    /// Simulates what is not known yet. Returns the exit code; `interrupted` after a signal.
    int run(const std::vector<Experiment>& experiments, const std::string& what);

    /// Nothing if it was not simulated.
    std::optional<report::Result> result(const Experiment& experiment) const;

    static constexpr int interrupted = 130;

  private:
    using Missing = std::vector<const Experiment*>;

    Missing missing_of(const std::vector<Experiment>& experiments) const;
    int simulate(const Experiment& experiment) const;
    int run_here(const Missing& missing, const std::string& what) const;
    int run_on_slurm(const std::vector<Experiment>& experiments, const std::string& what) const;
    /// What does the same in a process of its own, anywhere.
    std::vector<std::string> command_of(const Experiment& experiment) const;

    Options options_;
    std::string program_;
    sweep::Cache cache_;
};

/// After a signal: what was computed is kept.
void say_interrupted();

}  // namespace fusesim::commands

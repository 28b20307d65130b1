#include "commands.h"
#include "simulation_options.h"

#include <memory>

namespace fusesim::commands {

void add_replay(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand(
        "replay", "simulate the mount that a trace was recorded on, and compare");

    struct Options : SimulationOptions {
        std::string trace;
        std::string scenario;
        std::string mode;
        std::string speed;
    };

    auto options = std::make_shared<Options>();
    command.add_option("TRACE", options->trace, "recording made by `fusesim record` or imported")
        ->required();
    command.add_option("--config", options->scenario, "scenario: host, daemon, mount to assume")
        ->type_name("SCENARIO");
    command.add_option("--mode",
                       options->mode,
                       "think: callers wait for answers and think as long as they did (default); "
                       "timed: at the recorded times; asap: without pauses");
    command.add_option("--speed", options->speed, "2 halves think times and gaps");
    options->add_to(command);
    command.callback([options, &status] {
        config::LoadOptions load;
        load.overrides = options->overrides;
        if (!options->mode.empty()) {
            load.overrides.push_back("workload.mode=" + options->mode);
        }
        if (!options->speed.empty()) {
            load.overrides.push_back("workload.speed=" + options->speed);
        }
        const auto document = options->scenario.empty()
                                  ? config::Document::parse("", "defaults", load)
                                  : config::Document::load(options->scenario, load);
        auto scenario = config::read<system::Scenario>(document);
        scenario.workload.trace = {options->trace, options->trace};
        status = simulate_and_report(scenario, document, *options);
    });
}

}  // namespace fusesim::commands

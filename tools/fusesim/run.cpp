#include "commands.h"
#include "simulation_options.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

namespace fusesim::commands {

void add_run(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand("run", "simulate a scenario");

    struct Options : SimulationOptions {
        std::string scenario;
    };

    auto options = std::make_shared<Options>();
    command.add_option("SCENARIO", options->scenario, "YAML file, or a folder that --out wrote")
        ->required();
    options->add_to(command);
    command.callback([options, &status] {
        config::LoadOptions load;
        load.overrides = options->overrides;
        if (std::filesystem::is_directory(options->scenario)) {
            options->scenario += std::string("/") + RunOptions::bundled_scenario;
        }
        const auto document = config::Document::load(options->scenario, load);
        const auto scenario = config::read<system::Scenario>(document);
        if (!scenario.sweep.empty()) {
            fmt::print(stderr,
                       "one point; `fusesim sweep {}` varies what its sweep says\n",
                       options->scenario);
        }
        status = simulate_and_report(scenario, document, *options);
    });
}

}  // namespace fusesim::commands

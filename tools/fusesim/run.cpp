#include "commands.h"
#include "simulation_options.h"

#include <memory>

namespace fusesim::commands {

void add_run(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand("run", "simulate a scenario");

    struct Options : SimulationOptions {
        std::string scenario;
    };

    auto options = std::make_shared<Options>();
    command.add_option("SCENARIO", options->scenario, "YAML file")->required();
    options->add_to(command);
    command.callback([options, &status] {
        config::LoadOptions load;
        load.overrides = options->overrides;
        const auto document = config::Document::load(options->scenario, load);
        status = simulate_and_report(config::read<system::Scenario>(document), document, *options);
    });
}

}  // namespace fusesim::commands

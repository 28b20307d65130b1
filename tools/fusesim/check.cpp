#include "commands.h"
#include "config/document.h"
#include "config/map.h"
#include "system/simulation.h"

#include <fmt/format.h>

#include <memory>

namespace fusesim::commands {

void add_check(CLI::App& program, int& status) {
    CLI::App& command =
        *program.add_subcommand("check", "read a scenario and say what is wrong with it");
    struct Options {
        std::string scenario;
        std::vector<std::string> overrides;
    };
    auto options = std::make_shared<Options>();
    command.add_option("SCENARIO", options->scenario, "YAML file")->required();
    command.add_option("--set", options->overrides, "change one setting")->type_name("KEY=VALUE");
    command.callback([options, &status] {
        config::LoadOptions load;
        load.overrides = options->overrides;
        const auto document = config::Document::load(options->scenario, load);
        system::check(config::read<system::Scenario>(document), document);
        fmt::print("{}: fine\n", options->scenario);
        status = fine;
    });
}

}  // namespace fusesim::commands

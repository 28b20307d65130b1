#include "commands.h"
#include "config/map.h"
#include "system/scenario.h"

#include <fmt/format.h>

#include <memory>

namespace fusesim::commands {

void add_describe(CLI::App& program, int& status) {
    CLI::App& command =
        *program.add_subcommand("describe", "what a setting means, its unit, range and default");
    auto key = std::make_shared<std::string>();
    command.add_option("KEY", *key, "e.g. mount.max_background, or mount; all without");
    command.callback([key, &status] {
        const auto settings = config::describe<system::Scenario>();
        fmt::print("{}",
                   key->empty() ? config::reference_text(settings)
                                : config::describe_text(settings, *key));
        status = fine;
    });
}

void add_schema(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand("schema", "JSON Schema of a scenario, for editors");
    command.callback([&status] {
        fmt::print("{}\n", config::schema<system::Scenario>().dump(2));
        status = fine;
    });
}

}  // namespace fusesim::commands

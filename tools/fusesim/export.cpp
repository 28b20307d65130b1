#include "report/export.h"

#include "commands.h"
#include "config/error.h"
#include "report/report.h"
#include "write_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace fusesim::commands {

void add_export(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand(
        "export", "a result of run, replay or measure in the format of another program");

    struct Options {
        std::string result;
        std::string format;
        std::string out = "-";
    };

    auto options = std::make_shared<Options>();
    std::vector<std::string> names;
    std::string help;
    for (const report::Exporter& exporter : report::exporters()) {
        names.emplace_back(exporter.name);
        help += fmt::format("{}{} ({})", help.empty() ? "" : "; ", exporter.name, exporter.what);
    }
    command.add_option("RESULT", options->result, "result.json")->required();
    command.add_option("--format", options->format, help)->required()->check(CLI::IsMember(names));
    command.add_option("--out", options->out, "file to write, or -")
        ->type_name("FILE")
        ->capture_default_str();
    command.footer(
        "Example:\n"
        "  fusesim run SCENARIO --timeline 2000 --json r.json\n"
        "  fusesim export r.json --format chrome --out r.trace.json    # open in ui.perfetto.dev");
    command.callback([options, &status] {
        const report::Exporter& exporter = *report::find_exporter(options->format);
        const report::Result result = report::load(options->result);
        if (exporter.needs_details && result.details.is_null()) {
            throw config::Error({options->result},
                                "has no details",
                                "make it with `fusesim run --details`, or with --timeline 1000 to "
                                "see single requests");
        }
        try {
            write_or_print(options->out, exporter.text(result));
        } catch (const nlohmann::json::exception&) {
            throw config::Error({options->result}, "its details are not those of a run");
        }
        status = fine;
    });
}

}  // namespace fusesim::commands

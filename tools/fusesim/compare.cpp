#include "report/compare.h"

#include "commands.h"
#include "config/units.h"
#include "report/report.h"
#include "write_file.h"

#include <fmt/format.h>

#include <memory>

namespace fusesim::commands {

namespace {

double threshold_of(const std::string& text) {
    try {
        const double fraction = config::Format<config::Percent>::parse(text).fraction;
        if (fraction < 0) {
            throw config::Mismatch("is negative");
        }
        return fraction;
    } catch (const config::Mismatch& mismatch) {
        throw config::Error(
            {"command line"},
            fmt::format("--threshold '{}' {}", config::shown(text), mismatch.what()),
            mismatch.hint().empty() ? "write '1 %'" : mismatch.hint());
    }
}

}  // namespace

void add_compare(CLI::App& program, int& status) {
    CLI::App& command =
        *program.add_subcommand("compare", "two results side by side: what differs, what is noise");

    struct Options {
        std::string a;
        std::string b;
        std::string threshold = "1 %";
        std::string json;
    };

    auto options = std::make_shared<Options>();
    command.add_option("A", options->a, "result file, as --json writes it")->required();
    command.add_option("B", options->b, "another one")->required();
    command
        .add_option("--threshold",
                    options->threshold,
                    "numbers without a confidence interval differ if they do by more than this")
        ->type_name("PERCENT")
        ->capture_default_str();
    command.add_option("--json", options->json, "write JSON to a file, or - for stdout")
        ->type_name("FILE");
    command.callback([options, &status] {
        const double threshold = threshold_of(options->threshold);
        const report::Differences differences =
            report::compare(report::load(options->a), report::load(options->b), threshold);
        deliver(options->json,
                report::to_json(differences).dump(2) + "\n",
                report::text(differences, options->a, options->b));
        status = fine;
    });
}

}  // namespace fusesim::commands

#include "commands.h"
#include "page.h"
#include "write_file.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::commands {

void add_report(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand(
        "report", "one HTML file that shows results of run, sweep, capacity, advise or validate");

    struct Options {
        std::vector<std::string> files;
        std::string out = "report.html";
    };

    auto options = std::make_shared<Options>();
    command.add_option("RESULT", options->files, "JSON of these commands, each becomes a part")
        ->required();
    command.add_option("--out", options->out, "HTML file to write, or -")
        ->type_name("FILE")
        ->capture_default_str();
    command.callback([options, &status] {
        std::vector<page::Document> documents;
        for (const std::string& file : options->files) {
            documents.push_back(page::load(file));
        }
        write_or_print(options->out, page::html(documents));
        status = fine;
    });
}

}  // namespace fusesim::commands

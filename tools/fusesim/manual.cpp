#include "commands.h"
#include "config/error.h"
#include "write_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fusesim::commands {

namespace {

std::vector<const CLI::App*> subcommands_of(const CLI::App& command) {
    return command.get_subcommands([](const CLI::App*) { return true; });
}

/// For troff: no letter begins a request or an escape, and options keep their hyphens.
std::string roff(std::string_view text) {
    std::string out;
    bool begins = true;
    for (const char c : text) {
        if (begins && (c == '.' || c == '\'')) {
            out += "\\&";
        }
        begins = c == '\n';
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else {
            out += c;
        }
    }
    return out;
}

std::string form_of(const CLI::Option& option) {
    std::string form =
        option.get_positional() ? option.get_name(true) : option.get_name(false, true);
    if (option.get_expected_min() > 0 && !option.get_positional()) {
        form += " " + option.get_type_name();
    }
    return form;
}

/// Arguments and options of a command, and then those of its own commands.
void add_options(std::string& page, const CLI::App& command, const std::string& name) {
    for (const bool positional : {true, false}) {
        for (const CLI::Option* option : command.get_options()) {
            if (option->get_positional() == positional && !option->get_group().empty()) {
                page += fmt::format(".TP\n\\fB{}\\fR\n{}\n",
                                    roff(form_of(*option)),
                                    roff(option->get_description()));
            }
        }
    }
    for (const CLI::App* const below : subcommands_of(command)) {
        const std::string its_name = name + " " + below->get_name();
        page += fmt::format(".SS {}\n{}.\n", roff(its_name), roff(below->get_description()));
        add_options(page, *below, its_name);
    }
}

std::string head(const std::string& title,
                 const std::string& name,
                 const std::string& description) {
    return fmt::format(
        ".TH {} 1 \"\" \"fusesim {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n",
        title,
        FUSESIM_VERSION,
        roff(name),
        roff(description));
}

std::string page_of_command(const CLI::App& command) {
    const std::string name = "fusesim " + command.get_name();
    std::string page = head("FUSESIM-" + command.get_name(),
                            "fusesim-" + command.get_name(),
                            command.get_description());
    page += fmt::format("\\fB{}\\fR", roff(name));
    for (const CLI::Option* option : command.get_options()) {
        if (option->get_positional()) {
            const std::string form = roff(form_of(*option));
            page += option->get_required() ? " " + form : " [" + form + "]";
        }
    }
    page += " [OPTIONS]\n.SH OPTIONS\n";
    add_options(page, command, name);
    page += ".SH SEE ALSO\n\\fBfusesim\\fR(1)\n";
    return page;
}

std::string page_of_program(const CLI::App& program) {
    std::string page = head("FUSESIM", "fusesim", program.get_description());
    page += "\\fBfusesim\\fR COMMAND [OPTIONS]\n.SH COMMANDS\n";
    for (const CLI::App* const command : subcommands_of(program)) {
        page += fmt::format(".TP\n\\fBfusesim\\-{}\\fR(1)\n{}\n",
                            roff(command->get_name()),
                            roff(command->get_description()));
    }
    page +=
        ".SH EXIT STATUS\n"
        ".TP\n0\nall is well\n"
        ".TP\n1\na threshold, tolerance or SLO is missed\n"
        ".TP\n2\nthe input is wrong\n"
        ".TP\n3\nthe simulated system waits for itself\n"
        ".TP\n4\nthis machine lacks something that the command needs\n"
        ".SH SEE ALSO\n"
        "\\fBfusesim describe\\fR says what each setting of a scenario means.\n";
    return page;
}

const CLI::App& find_command(const CLI::App& program, const std::string& name) {
    for (const CLI::App* const command : subcommands_of(program)) {
        if (command->get_name() == name) {
            return *command;
        }
    }
    throw config::Error({"command line"},
                        fmt::format("there is no command '{}'", name),
                        "fusesim --help lists them");
}

/// All pages into a folder, or one to standard output.
void print_manual(const CLI::App& program, const std::string& name, const std::string& folder) {
    if (folder.empty()) {
        fmt::print(
            "{}",
            name.empty() ? page_of_program(program) : page_of_command(find_command(program, name)));
        return;
    }
    std::filesystem::create_directories(folder);
    write_file(folder + "/fusesim.1", page_of_program(program));
    for (const CLI::App* const command : subcommands_of(program)) {
        write_file(fmt::format("{}/fusesim-{}.1", folder, command->get_name()),
                   page_of_command(*command));
    }
}

/// What may follow: options, and commands below.
std::string words_after(const CLI::App& command) {
    std::string words;
    for (const CLI::App* const below : subcommands_of(command)) {
        words += below->get_name() + " ";
    }
    for (const CLI::Option* option : command.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            words += "--" + name + " ";
        }
    }
    return words;
}

void add_paths(const CLI::App& command,
               const std::string& path,
               std::string& known,
               std::string& words) {
    words += fmt::format("        '{}') words='{}' ;;\n", path, words_after(command));
    for (const CLI::App* const below : subcommands_of(command)) {
        const std::string its_path = path + " " + below->get_name();
        known += (known.empty() ? "'" : " | '") + its_path + "'";
        add_paths(*below, its_path, known, words);
    }
}

/// Completes commands and options, and otherwise names of files.
std::string bash_completion(const CLI::App& program) {
    std::string known;
    std::string words;
    add_paths(program, "", known, words);
    return fmt::format(R"(_fusesim() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} path="" words="" i
    for ((i = 1; i < COMP_CWORD; ++i)); do
        case "$path ${{COMP_WORDS[i]}}" in
            {}) path+=" ${{COMP_WORDS[i]}}" ;;
        esac
    done
    case $path in
{}    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _fusesim fusesim
)",
                       known,
                       words);
}

}  // namespace

void add_man(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand("man", "manual pages, for man(1)");
    auto name = std::make_shared<std::string>();
    auto folder = std::make_shared<std::string>();
    command.add_option("COMMAND", *name, "page of that command; without, of the program");
    command.add_option("--dir", *folder, "write all pages into a folder")->type_name("DIR");
    command.callback([&program, name, folder, &status] {
        print_manual(program, *name, *folder);
        status = fine;
    });
}

void add_completion(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand(
        "completion", "bash completion: eval \"$(fusesim completion)\"; zsh after bashcompinit");
    command.callback([&program, &status] {
        fmt::print("{}", bash_completion(program));
        status = fine;
    });
}

}  // namespace fusesim::commands

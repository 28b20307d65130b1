#include "commands.h"
#include "config/error.h"
#include "config/nearest.h"
#include "fuse/kernel.h"
#include "fuse/opcode.h"

#include <fmt/format.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace fusesim::commands {

namespace {

void list_kernels() {
    for (const fuse::KernelBehaviour& kernel : fuse::kernel_behaviours()) {
        fmt::print("{:<6} protocol 7.{}\n", kernel.version, kernel.protocol_minor);
    }
}

void list_opcodes() {
    for (const fuse::OpcodeInfo& opcode : fuse::opcodes()) {
        fmt::print("{:<20} {:>4}  {}, since 7.{}\n",
                   opcode.name,
                   static_cast<unsigned>(opcode.opcode),
                   fuse::to_text(opcode.group),
                   opcode.since_minor);
    }
}

struct Kind {
    const char* name;
    void (*list)();
};

const std::initializer_list<Kind> kinds = {{"kernels", list_kernels}, {"opcodes", list_opcodes}};

}  // namespace

void add_list(CLI::App& program, int& status) {
    CLI::App& command = *program.add_subcommand("list", "what the simulator knows");
    auto name = std::make_shared<std::string>();
    command.add_option("KIND", *name, "kernels or opcodes")->required();
    command.callback([name, &status] {
        std::vector<std::string> names;
        for (const Kind& kind : kinds) {
            if (*name == kind.name) {
                kind.list();
                status = fine;
                return;
            }
            names.emplace_back(kind.name);
        }
        const std::string near = config::nearest(*name, names);
        throw config::Error(
            {"command line"},
            fmt::format("nothing of the kind '{}' to list", *name),
            near.empty() ? "kinds: kernels, opcodes" : fmt::format("did you mean '{}'?", near));
    });
}

}  // namespace fusesim::commands

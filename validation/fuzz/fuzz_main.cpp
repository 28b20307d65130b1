#include "targets.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

// libFuzzer's own main() calls these. --target=NAME picks what is fuzzed, --list names all.

namespace {

const fusesim::fuzz::Target* target = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
    constexpr std::string_view option = "--target=";
    for (int i = 1; i < *argc; ++i) {
        const std::string_view argument = (*argv)[i];
        if (argument == "--list") {
            for (const auto& each : fusesim::fuzz::targets()) {
                std::puts(each.name.c_str());
            }
            std::exit(0);
        }
        if (argument.starts_with(option)) {
            target = fusesim::fuzz::find_target(argument.substr(option.size()));
        }
    }
    if (target == nullptr) {
        std::fputs("--target=NAME is needed; --list names them\n", stderr);
        std::exit(2);
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    target->run({reinterpret_cast<const char*>(data), size});
    return 0;
}

#include "targets.h"

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

// Gives each file of CORPUS/TARGET/ to its target once: what was found once stays mended.
int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: fuzz_replay CORPUS\n", stderr);
        return 2;
    }
    int failures = 0;
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1])) {
        if (!entry.is_regular_file()) {
            continue;
        }
        const std::string folder = entry.path().parent_path().filename();
        const auto* const target = fusesim::fuzz::find_target(folder);
        if (target == nullptr) {
            std::fprintf(stderr, "%s: no target named %s\n", entry.path().c_str(), folder.c_str());
            ++failures;
            continue;
        }
        std::ifstream file(entry.path(), std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        ++files;
        try {
            target->run(bytes);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s: %s\n", entry.path().c_str(), error.what());
            ++failures;
        }
    }
    std::printf("%d files, %d failures\n", files, failures);
    return failures == 0 && files > 0 ? 0 : 1;
}

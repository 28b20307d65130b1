#include "write_file.h"

#include "config/error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace fusesim::commands {

void write_file(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file) {
        throw config::Error({path}, std::string("cannot be written: ") + std::strerror(errno));
    }
}

void write_or_print(const std::string& path, const std::string& text) {
    if (path == "-") {
        std::fputs(text.c_str(), stdout);
    } else {
        write_file(path, text);
    }
}

void deliver(const std::string& json_path, const std::string& json, const std::string& text) {
    if (!json_path.empty()) {
        write_or_print(json_path, json);
    }
    if (json_path != "-") {
        std::fputs(text.c_str(), stdout);
    }
}

}  // namespace fusesim::commands

#include "write_file.h"

#include "config/error.h"

#include <cerrno>
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

}  // namespace fusesim::commands

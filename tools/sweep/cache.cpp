#include "cache.h"

#include "config/error.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>

namespace fusesim::sweep {

namespace fs = std::filesystem;

namespace {

std::string to_hex(XXH128_hash_t hash) {
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace

std::string hash_of(const std::string& text) {
    return to_hex(XXH3_128bits(text.data(), text.size()));
}

std::string hash_of_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    XXH3_state_t* const state = XXH3_createState();
    XXH3_128bits_reset(state);
    std::array<char, 1 << 16> buffer;
    while (in.read(buffer.data(), buffer.size()) || in.gcount() > 0) {
        XXH3_128bits_update(state, buffer.data(), static_cast<std::size_t>(in.gcount()));
    }
    const std::string hash = to_hex(XXH3_128bits_digest(state));
    XXH3_freeState(state);
    return hash;
}

Cache::Cache(fs::path folder) : folder_(std::move(folder)) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) {
        throw config::Error({folder_.string()},
                            "cannot be made: " + error.message(),
                            "--cache names another folder");
    }
}

fs::path Cache::default_folder() {
    if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
        return fs::path(cache) / "fusesim/sweep";
    }
    const char* home = std::getenv("HOME");
    return fs::path(home != nullptr ? home : "/tmp") / ".cache/fusesim/sweep";
}

std::optional<std::string> Cache::find(const std::string& key) const {
    std::ifstream in(file_of(key), std::ios::binary);
    if (!in) {
        return std::nullopt;
    }
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

void Cache::store(const std::string& key, const std::string& text) const {
    const fs::path file = file_of(key);
    const fs::path unfinished = file.string() + fmt::format(".{}", getpid());
    std::ofstream out(unfinished, std::ios::binary);
    out << text;
    out.close();
    std::error_code error;
    if (out) {
        fs::rename(unfinished, file, error);
    }
    if (!out || error) {
        fs::remove(unfinished, error);
        throw config::Error({file.string()}, "cannot be written", "is the disk full?");
    }
}

void Cache::forget(const std::string& key) const {
    fs::remove(file_of(key));
}

}  // namespace fusesim::sweep

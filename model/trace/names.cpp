#include "trace/names.h"

#include "fuse/opcode.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_map>
#include <vector>

namespace fusesim::trace {

namespace {

constexpr std::array<std::string_view, 3> layers = {"fuse", "syscall", "block"};

// Index = trace::Call.
constexpr std::array<std::string_view, 46> call_names = {
    "other",     "open",      "create",          "close",     "read",      "write",
    "stat",      "fstat",     "readdir",         "mkdir",     "rmdir",     "unlink",
    "rename",    "link",      "symlink",         "readlink",  "mknod",     "truncate",
    "ftruncate", "chmod",     "chown",           "utimens",   "access",    "statfs",
    "fsync",     "fdatasync", "sync_file_range", "fallocate", "lseek",     "mmap",
    "msync",     "munmap",    "getxattr",        "setxattr",  "listxattr", "removexattr",
    "flock",     "lock",      "copy_file_range", "sendfile",  "splice",    "fadvise",
    "ioctl",     "poll",      "execve",          "syncfs"};

using Numbers = std::unordered_map<std::string_view, std::uint32_t>;

const Numbers& numbers_of(Layer layer) {
    static const Numbers requests = [] {
        Numbers numbers;
        for (const fuse::OpcodeInfo& info : fuse::opcodes()) {
            numbers.emplace(info.name, static_cast<std::uint32_t>(info.opcode));
        }
        return numbers;
    }();
    static const Numbers calls = [] {
        Numbers numbers;
        for (std::uint32_t i = 0; i < call_names.size(); ++i) {
            numbers.emplace(call_names[i], i);
        }
        return numbers;
    }();
    return layer == Layer::fuse ? requests : calls;
}

}  // namespace

std::string_view layer_name(Layer layer) {
    return layers.at(static_cast<std::size_t>(layer));
}

std::optional<Layer> layer_of(std::string_view name) {
    const auto* const found = std::find(layers.begin(), layers.end(), name);
    if (found == layers.end()) {
        return std::nullopt;
    }
    return static_cast<Layer>(found - layers.begin());
}

std::string_view opcode_name(Layer layer, std::uint32_t opcode) {
    if (layer == Layer::fuse) {
        const std::optional<fuse::Opcode> known = fuse::opcode_from_number(opcode);
        return known ? fuse::to_text(*known) : std::string_view();
    }
    return opcode < call_names.size() ? call_names[opcode] : std::string_view();
}

std::string opcode_text(Layer layer, std::uint32_t opcode) {
    const std::string_view name = opcode_name(layer, opcode);
    return name.empty() ? std::to_string(opcode) : std::string(name);
}

std::optional<std::uint32_t> opcode_of(Layer layer, std::string_view text) {
    std::uint32_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) {
        return number;
    }
    if (layer == Layer::fuse && text.starts_with("FUSE_")) {
        text.remove_prefix(5);
    }
    const Numbers& numbers = numbers_of(layer);
    const auto found = numbers.find(text);
    if (found == numbers.end()) {
        return std::nullopt;
    }
    return found->second;
}

std::string_view nearest(std::string_view word, const std::string_view* known, std::size_t count) {
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
    if (word.size() > 64) {
        return best;
    }
    for (std::size_t k = 0; k < count; ++k) {
        const std::string_view other = known[k];
        std::vector<std::size_t> row(other.size() + 1);
        for (std::size_t j = 0; j < row.size(); ++j) {
            row[j] = j;
        }
        for (std::size_t i = 1; i <= word.size(); ++i) {
            std::size_t diagonal = row[0];
            row[0] = i;
            for (std::size_t j = 1; j <= other.size(); ++j) {
                const std::size_t replaced = diagonal + (word[i - 1] == other[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
            }
        }
        if (row.back() < best_distance) {
            best_distance = row.back();
            best = other;
        }
    }
    return best;
}

}  // namespace fusesim::trace

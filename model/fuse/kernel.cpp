#include "fuse/kernel.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace fusesim::fuse {
namespace {

// Each row is what was read in that tree (fs/fuse/dev.c, file.c, dir.c, inode.c, fuse_i.h); the
// 6.18 row is bracketed by 6.17 and 7.0, the 4.1 row by 4.4 and older excerpts.
std::vector<KernelBehaviour> make_rows() {
    KernelBehaviour row{
        .version = "4.1",
        .protocol_minor = 23,
        .input_lock = InputLock::connection,
        .background_lock = false,
        .unique_step = 1,
        .processing_lists = 1,
        .clone_fd = false,
        .resend = false,
        .congestion_on_bdi = true,
        .read_buffer_holds_max_write = false,
        .lowest_error = -1000,
        .end_takes_input_lock = true,
        .background_end_wakes = true,
        .default_max_pages = 32,
        .max_max_pages = 32,
        .readdir_fits_getdents = false,
        .writeback_temp_copy = true,
        .directory_lock = DirectoryLock::mutex,
        .getattr_after_read = true,
        .parallel_direct_writes = false,
        .passthrough = false,
        .io_uring = false,
        .request_timeout = false,
        .send_tracepoint = SendTracepoint::absent,
    };
    std::vector<KernelBehaviour> rows;
    const auto add = [&](std::string_view version, unsigned protocol_minor) {
        row.version = version;
        row.protocol_minor = protocol_minor;
        rows.push_back(row);
    };
    add("4.1", 23);

    row.input_lock = InputLock::waitqueue;
    row.clone_fd = true;
    add("4.4", 23);

    row.directory_lock = DirectoryLock::rwsem;
    row.lowest_error = -512;  // a back-port in the 4.15 tree that was read
    add("4.15", 26);
    row.lowest_error = -1000;
    add("4.18", 27);

    row.input_lock = InputLock::own;
    row.background_lock = true;
    row.unique_step = 2;
    row.processing_lists = 256;
    row.read_buffer_holds_max_write = true;
    row.lowest_error = -512;
    row.end_takes_input_lock = false;
    row.background_end_wakes = false;
    row.max_max_pages = 256;
    row.getattr_after_read = false;
    add("5.4", 31);
    add("5.10", 32);
    add("5.15", 34);

    row.congestion_on_bdi = false;
    add("6.1", 38);

    row.parallel_direct_writes = true;
    add("6.8", 39);

    row.passthrough = true;
    row.resend = true;
    row.send_tracepoint = SendTracepoint::before_id;
    add("6.12", 41);

    row.io_uring = true;
    add("6.14", 42);

    row.readdir_fits_getdents = true;
    row.writeback_temp_copy = false;
    row.request_timeout = true;  // since 6.15
    add("6.17", 44);

    row.send_tracepoint = SendTracepoint::at_queueing;
    add("6.18", 45);
    add("7.0", 45);
    return rows;
}

using Release = std::pair<unsigned, unsigned>;

/// The first two numbers of "6.1", "6.1.0-13-amd64" or "6.12-rc3".
std::optional<Release> parse_release(std::string_view text) {
    Release release;
    const char* const end = text.data() + text.size();
    const auto major = std::from_chars(text.data(), end, release.first);
    if (major.ec != std::errc{} || major.ptr == end || *major.ptr != '.') {
        return std::nullopt;
    }
    const auto minor = std::from_chars(major.ptr + 1, end, release.second);
    if (minor.ec != std::errc{}) {
        return std::nullopt;
    }
    if (minor.ptr != end && *minor.ptr != '.' && *minor.ptr != '-' && *minor.ptr != '+') {
        return std::nullopt;
    }
    return release;
}

[[noreturn]] void refuse(std::string_view version) {
    std::string known;
    for (const KernelBehaviour& row : kernel_behaviours()) {
        known += known.empty() ? "" : ", ";
        known += row.version;
    }
    throw std::invalid_argument(
        fmt::format("unknown kernel version '{}'; known are {}", version, known));
}

}  // namespace

const std::vector<KernelBehaviour>& kernel_behaviours() {
    static const std::vector<KernelBehaviour> rows = make_rows();
    return rows;
}

const KernelBehaviour& kernel_behaviour(std::string_view version) {
    const std::optional<Release> wanted = parse_release(version);
    for (const KernelBehaviour& row : kernel_behaviours()) {
        if (wanted && parse_release(row.version) == wanted) {
            return row;
        }
    }
    refuse(version);
}

const KernelBehaviour& nearest_kernel_behaviour(std::string_view release) {
    const std::optional<Release> wanted = parse_release(release);
    if (!wanted) {
        refuse(release);
    }
    const KernelBehaviour* best = &kernel_behaviours().front();
    for (const KernelBehaviour& row : kernel_behaviours()) {
        if (parse_release(row.version) <= wanted) {
            best = &row;
        }
    }
    return *best;
}

}  // namespace fusesim::fuse

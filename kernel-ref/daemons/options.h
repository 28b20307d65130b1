#pragma once

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>

#include <cstdint>
#include <string>

namespace fusesim::daemons {

/// What a daemon does for each request before it answers.
struct Service {
    double seconds = 0;        ///< mean service time
    bool spin = false;         ///< use the processor instead of sleeping
    bool exponential = false;  ///< draw the time; fixed otherwise
    unsigned seed = 1;
};

/// A daemon's name, which is also the type of its mounts, and what it takes beyond the options
/// that all have in common.
struct Program {
    const char* name;
    enum class Takes { files, files_and_service_time, source, ring } takes;
};

/// Everything the command line says; spelled as libfuse and mount(8) spell it.
struct Options {
    fuse_cmdline_opts session{};
    Service service;
    double entry_timeout = 1;
    double attr_timeout = 1;
    double negative_timeout = 0;
    bool direct_io = false;
    bool keep_cache = false;
    bool no_flush = false;
    bool writeback_cache = false;
    bool splice_read = false;
    bool splice_write = false;
    bool splice_move = false;
    bool readdirplus = true;
    bool passthrough = false;     ///< reads and writes go to the backing file without the daemon
    bool high_level = false;      ///< libfuse's path API
    std::string source;           ///< the directory below
    unsigned queue_depth = 8;     ///< ring entries per queue
    unsigned max_write = 0;       ///< bytes; 0 leaves libfuse's
    unsigned max_read = 0;        ///< bytes; 0 leaves the kernel's
    unsigned max_readahead = 0;   ///< bytes; 0 leaves the kernel's
    unsigned max_background = 0;  ///< requests; 0 leaves the kernel's
    unsigned congestion_threshold = 0;
    unsigned files = 1;                  ///< file0 .. in the root
    std::uint64_t file_size = 1u << 30;  ///< bytes
    std::string stamps;                  ///< log of what was served when
};

/// Reads the command line; the rest of the arguments (mount options) stays in `args`.
/// Returns false and explains on standard error if it is wrong; exits 0 for --help.
bool read_options(fuse_args& args, const Program& program, Options& options);

/// Asks the kernel for what the options want, within what it offers.
void negotiate(const Options& options, fuse_conn_info& connection);

void apply_open_flags(const Options& options, fuse_file_info& info);

}  // namespace fusesim::daemons

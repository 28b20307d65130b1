#pragma once

#include "null_filesystem.h"

#include <string>

namespace fusesim::daemons {

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
bool read_options(fuse_args& args, const char* name, bool takes_service_time, Options& options);

}  // namespace fusesim::daemons

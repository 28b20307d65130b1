#include "options.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace fusesim::daemons {

namespace {

using Takes = Program::Takes;

/// fuse_opt writes plain C types, and knows no bool.
struct Raw {
    double entry_timeout = 1;
    double attr_timeout = 1;
    double negative_timeout = 0;
    int direct_io = 0;
    int keep_cache = 0;
    int no_flush = 0;
    int writeback_cache = 0;
    int splice_read = 0;
    int splice_write = 0;
    int splice_move = 0;
    int no_readdirplus = 0;
    unsigned max_write = 0;
    unsigned max_read = 0;
    unsigned max_readahead = 0;
    unsigned max_background = 0;
    unsigned congestion_threshold = 0;
    char* stamps = nullptr;
    unsigned files = 1;
    unsigned long long file_size = 1ull << 30;
    double service_us = 0;
    int spin = 0;
    int exponential = 0;
    unsigned seed = 1;
    char* source = nullptr;
    int passthrough = 0;
    int high_level = 0;
    unsigned queue_depth = 8;
};

#define FUSESIM_VALUE(text, member) \
    { text, offsetof(Raw, member), 0 }
#define FUSESIM_FLAG(text, member) \
    { text, offsetof(Raw, member), 1 }

const fuse_opt common_options[] = {
    FUSESIM_VALUE("entry_timeout=%lf", entry_timeout),
    FUSESIM_VALUE("attr_timeout=%lf", attr_timeout),
    FUSESIM_VALUE("negative_timeout=%lf", negative_timeout),
    FUSESIM_FLAG("direct_io", direct_io),
    FUSESIM_FLAG("keep_cache", keep_cache),
    FUSESIM_FLAG("no_flush", no_flush),
    FUSESIM_FLAG("writeback_cache", writeback_cache),
    FUSESIM_FLAG("splice_read", splice_read),
    FUSESIM_FLAG("splice_write", splice_write),
    FUSESIM_FLAG("splice_move", splice_move),
    FUSESIM_FLAG("no_readdirplus", no_readdirplus),
    FUSESIM_VALUE("max_write=%u", max_write),
    FUSESIM_VALUE("max_read=%u", max_read),
    FUSESIM_VALUE("max_readahead=%u", max_readahead),
    FUSESIM_VALUE("max_background=%u", max_background),
    FUSESIM_VALUE("congestion_threshold=%u", congestion_threshold),
    FUSESIM_VALUE("stamps=%s", stamps),
    FUSE_OPT_END,
};

const fuse_opt file_options[] = {
    FUSESIM_VALUE("files=%u", files),
    FUSESIM_VALUE("file_size=%llu", file_size),
    FUSE_OPT_END,
};

const fuse_opt service_options[] = {
    FUSESIM_VALUE("service_us=%lf", service_us),
    FUSESIM_FLAG("spin", spin),
    FUSESIM_FLAG("exponential", exponential),
    FUSESIM_VALUE("seed=%u", seed),
    FUSE_OPT_END,
};

const fuse_opt source_options[] = {
    FUSESIM_VALUE("source=%s", source),
    FUSESIM_FLAG("passthrough", passthrough),
    FUSESIM_FLAG("high_level", high_level),
    FUSE_OPT_END,
};

const fuse_opt ring_options[] = {
    FUSESIM_VALUE("queue_depth=%u", queue_depth),
    FUSE_OPT_KEY("subtype=", FUSE_OPT_KEY_DISCARD),  // fuse_parse_cmdline() adds it
    FUSE_OPT_END,
};

#undef FUSESIM_VALUE
#undef FUSESIM_FLAG

void print_help(const Program& program) {
    std::printf("usage: %s [options] MOUNTPOINT\n\n", program.name);
    fuse_cmdline_help();
    std::printf(
        "    -o entry_timeout=S, attr_timeout=S, negative_timeout=S   seconds (1, 1, 0)\n"
        "    -o direct_io, keep_cache, writeback_cache, no_flush, no_readdirplus\n"
        "    -o splice_read, splice_write, splice_move\n"
        "    -o max_write=N, max_read=N, max_readahead=N              bytes\n"
        "    -o max_background=N, congestion_threshold=N              requests\n");
    if (program.takes == Takes::source) {
        std::printf(
            "    -o source=DIR          the directory below (must be given)\n"
            "    -o passthrough         reads and writes go to the file below without the daemon\n"
            "    -o high_level          use the path API of the library\n");
    } else {
        std::printf(
            "    -o files=N             file0, file1, ... in the root (1)\n"
            "    -o file_size=N         their size in bytes (1 GiB)\n");
    }
    if (program.takes == Takes::files_and_service_time) {
        std::printf(
            "    -o service_us=T        service time of each request in microseconds\n"
            "    -o spin                compute for that time instead of sleeping\n"
            "    -o exponential, seed=N draw the time instead of a fixed one\n");
    }
    if (program.takes == Takes::ring) {
        std::printf("    -o queue_depth=N       ring entries for each core (8)\n");
    }
    std::printf("    -o stamps=FILE         log when each request was read and answered\n");
}

/// Takes from `args` what this program knows; the rest stays.
bool parse(fuse_args& args, const Program& program, Raw& raw) {
    const auto take = [&](bool wanted, const fuse_opt* known) {
        return !wanted || fuse_opt_parse(&args, &raw, known, nullptr) == 0;
    };
    return take(true, common_options) && take(program.takes != Takes::source, file_options) &&
           take(program.takes == Takes::files_and_service_time, service_options) &&
           take(program.takes == Takes::source, source_options) &&
           take(program.takes == Takes::ring, ring_options);
}

/// Whether the options go together; says so if not.
bool consistent(const Program& program, const Options& options) {
    const char* complaint = nullptr;
    if (program.takes == Takes::source && options.source.empty()) {
        complaint = "needs -o source=DIR";
    } else if (!options.stamps.empty() && options.session.clone_fd != 0) {
        complaint = "stamps and clone_fd exclude each other";
    } else if (options.passthrough && options.session.clone_fd != 0) {
        complaint = "passthrough and clone_fd exclude each other";
    } else if (options.passthrough && options.writeback_cache) {
        complaint = "passthrough and writeback_cache exclude each other (the kernel's rule)";
    } else if (options.passthrough && options.high_level) {
        complaint = "passthrough needs the low-level API";
    } else if (program.takes == Takes::ring &&
               (options.queue_depth == 0 || options.queue_depth > 1024)) {
        complaint = "queue_depth is outside 1..1024";
    } else if (program.takes == Takes::ring &&
               (options.splice_read || options.splice_write || options.splice_move ||
                options.session.singlethread != 0 || options.session.clone_fd != 0)) {
        complaint = "splice, -s and clone_fd belong to /dev/fuse; the ring has a thread a core";
    }
    if (complaint != nullptr) {
        std::fprintf(stderr, "%s: %s\n", program.name, complaint);
    }
    return complaint == nullptr;
}

}  // namespace

bool read_options(fuse_args& args, const Program& program, Options& options) {
    Raw raw;
    if (fuse_parse_cmdline(&args, &options.session) != 0) {
        return false;
    }
    if (options.session.show_help != 0) {
        print_help(program);
        std::exit(0);
    }
    if (options.session.mountpoint == nullptr) {
        std::fprintf(stderr, "usage: %s [options] MOUNTPOINT\n", program.name);
        return false;
    }
    if (!parse(args, program, raw)) {
        return false;
    }
    options.entry_timeout = raw.entry_timeout;
    options.attr_timeout = raw.attr_timeout;
    options.negative_timeout = raw.negative_timeout;
    options.direct_io = raw.direct_io != 0;
    options.keep_cache = raw.keep_cache != 0;
    options.no_flush = raw.no_flush != 0;
    options.writeback_cache = raw.writeback_cache != 0;
    options.splice_read = raw.splice_read != 0;
    options.splice_write = raw.splice_write != 0;
    options.splice_move = raw.splice_move != 0;
    options.readdirplus = raw.no_readdirplus == 0;
    options.max_write = raw.max_write;
    options.max_read = raw.max_read;
    options.max_readahead = raw.max_readahead;
    options.max_background = raw.max_background;
    options.congestion_threshold = raw.congestion_threshold;
    options.files = raw.files;
    options.file_size = raw.file_size;
    const auto text = [](const char* given) { return given == nullptr ? "" : given; };
    options.stamps = text(raw.stamps);
    options.source = text(raw.source);
    std::free(raw.stamps);
    std::free(raw.source);
    options.passthrough = raw.passthrough != 0;
    options.high_level = raw.high_level != 0;
    options.queue_depth = raw.queue_depth;
    options.service = {raw.service_us * 1e-6, raw.spin != 0, raw.exponential != 0, raw.seed};
    return consistent(program, options);
}

namespace {

/// libfuse splices requests only through a pipe that holds the largest of them, and reads them
/// without a word if it cannot have one.
void warn_of_small_pipes(unsigned max_write) {
    constexpr unsigned header = 4096;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    if (fcntl(ends[0], F_SETPIPE_SZ, static_cast<int>(max_write + header)) < 0) {
        std::fprintf(stderr,
                     "splice_read has no effect: no pipe of %u bytes here "
                     "(/proc/sys/fs/pipe-max-size); lower max_write\n",
                     max_write + header);
    }
    close(ends[0]);
    close(ends[1]);
}

}  // namespace

void negotiate(const Options& options, fuse_conn_info& connection) {
    const auto want = [&connection](unsigned capability, bool wanted) {
        if (!wanted) {
            connection.want &= ~capability;
        } else if ((connection.capable & capability) != 0) {
            connection.want |= capability;
        }
    };
    want(FUSE_CAP_WRITEBACK_CACHE, options.writeback_cache);
    want(FUSE_CAP_SPLICE_READ, options.splice_read);
    want(FUSE_CAP_SPLICE_WRITE, options.splice_write);
    want(FUSE_CAP_SPLICE_MOVE, options.splice_move);
    want(FUSE_CAP_READDIRPLUS, options.readdirplus);
    want(FUSE_CAP_READDIRPLUS_AUTO, options.readdirplus);
    if (options.max_write != 0) {
        connection.max_write = options.max_write;
    }
    if (options.splice_read) {
        warn_of_small_pipes(connection.max_write);
    }
    if (options.max_read != 0) {
        connection.max_read = options.max_read;
    }
    if (options.max_readahead != 0) {
        connection.max_readahead = options.max_readahead;
    }
    if (options.max_background != 0) {
        connection.max_background = options.max_background;
    }
    if (options.congestion_threshold != 0) {
        connection.congestion_threshold = options.congestion_threshold;
    }
}

void apply_open_flags(const Options& options, fuse_file_info& info) {
    info.direct_io = options.direct_io ? 1 : 0;
    info.keep_cache = options.keep_cache ? 1 : 0;
    info.noflush = options.no_flush ? 1 : 0;
}

}  // namespace fusesim::daemons

#include "options.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace fusesim::daemons {

namespace {

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
    unsigned files = 1;
    unsigned long long file_size = 1ull << 30;
    char* stamps = nullptr;
    double service_us = 0;
    int spin = 0;
    int exponential = 0;
    unsigned seed = 1;
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
    FUSESIM_VALUE("files=%u", files),
    FUSESIM_VALUE("file_size=%llu", file_size),
    FUSESIM_VALUE("stamps=%s", stamps),
    FUSE_OPT_END,
};

const fuse_opt service_options[] = {
    FUSESIM_VALUE("service_us=%lf", service_us),
    FUSESIM_FLAG("spin", spin),
    FUSESIM_FLAG("exponential", exponential),
    FUSESIM_VALUE("seed=%u", seed),
    FUSE_OPT_END,
};

#undef FUSESIM_VALUE
#undef FUSESIM_FLAG

void print_help(const char* name, bool takes_service_time) {
    std::printf("usage: %s [options] MOUNTPOINT\n\n", name);
    fuse_cmdline_help();
    std::printf(
        "    -o entry_timeout=S, attr_timeout=S, negative_timeout=S   seconds (1, 1, 0)\n"
        "    -o direct_io, keep_cache, writeback_cache, no_flush, no_readdirplus\n"
        "    -o splice_read, splice_write, splice_move\n"
        "    -o max_write=N, max_read=N, max_readahead=N              bytes\n"
        "    -o max_background=N, congestion_threshold=N              requests\n"
        "    -o files=N             file0, file1, ... in the root (1)\n"
        "    -o file_size=N         their size in bytes (1 GiB)\n"
        "    -o stamps=FILE         log when each request was read and answered\n");
    if (takes_service_time) {
        std::printf(
            "    -o service_us=T        service time of each request in microseconds\n"
            "    -o spin                compute for that time instead of sleeping\n"
            "    -o exponential, seed=N draw the time instead of a fixed one\n");
    }
}

}  // namespace

bool read_options(fuse_args& args, const char* name, bool takes_service_time, Options& options) {
    Raw raw;
    if (fuse_parse_cmdline(&args, &options.session) != 0) {
        return false;
    }
    if (options.session.show_help != 0) {
        print_help(name, takes_service_time);
        std::exit(0);
    }
    if (options.session.mountpoint == nullptr) {
        std::fprintf(stderr, "usage: %s [options] MOUNTPOINT\n", name);
        return false;
    }
    if (fuse_opt_parse(&args, &raw, common_options, nullptr) != 0 ||
        (takes_service_time && fuse_opt_parse(&args, &raw, service_options, nullptr) != 0)) {
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
    if (raw.stamps != nullptr) {
        options.stamps = raw.stamps;
    }
    options.service = {raw.service_us * 1e-6, raw.spin != 0, raw.exponential != 0, raw.seed};
    return true;
}

}  // namespace fusesim::daemons

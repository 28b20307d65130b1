#include "null_server.h"
#include "options.h"
#include "session.h"
#include "uring_queue.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace fusesim::daemons {

namespace {

constexpr int unavailable = 4;
constexpr std::size_t page = 4096;
constexpr unsigned most_pages = 256;                       // FUSE_MAX_MAX_PAGES, fs/fuse/fuse_i.h
constexpr unsigned default_max_write = most_pages * page;  // as libfuse 3.10 and newer

constexpr Program program{"uringfs", Program::Takes::ring};

volatile std::sig_atomic_t told_to_stop = 0;

void stop(int) {
    told_to_stop = 1;
}

/// The file system is off in most kernels that have it. Says on standard error what it does.
bool enable_uring() {
    const char* const parameter = "/sys/module/fuse/parameters/enable_uring";
    std::ifstream in(parameter);
    std::string now;
    if (!(in >> now)) {
        std::fprintf(stderr, "this kernel has no FUSE over io_uring (Linux 6.14 or newer)\n");
        return false;
    }
    if (now == "Y") {
        return true;
    }
    std::ofstream out(parameter);
    out << "Y" << std::flush;
    if (!out) {
        std::fprintf(stderr, "cannot set %s to Y: %s\n", parameter, std::strerror(errno));
        return false;
    }
    std::fprintf(stderr, "uringfs: set %s to Y\n", parameter);
    return true;
}

/// Queues are needed for all cores that may ever be there.
unsigned possible_cores() {
    std::ifstream in("/sys/devices/system/cpu/possible");
    std::string range;
    in >> range;
    const std::size_t last = range.find_last_of("-,");
    const std::string number = last == std::string::npos ? range : range.substr(last + 1);
    return number.empty() ? 1u : static_cast<unsigned>(std::stoul(number)) + 1u;
}

/// A thread stays on its queue's core, unless the process was told to stay away from it.
void settle_on(unsigned core) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_ISSET(core, &allowed)) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        sched_setaffinity(0, sizeof one, &one);
    }
}

class Daemon {
  public:
    explicit Daemon(const Options& options) : options_(options), server_(options) {}

    /// Mounts, serves until unmounted or told to stop. Returns the exit code.
    int run();

  private:
    bool attach();
    int negotiate();
    bool start_queues();
    int serve_device();
    fuse_init_out answer_to(const fuse_init_in& wanted) const;
    bool forget(const char* message);

    unsigned max_write() const {
        return options_.max_write != 0 ? options_.max_write : default_max_write;
    }

    unsigned max_pages() const {
        return std::min(most_pages, (max_write() - 1) / static_cast<unsigned>(page) + 1);
    }

    Options options_;
    NullServer server_;
    int device_ = -1;
    stamps::Log* log_ = nullptr;
    std::vector<char> message_ = std::vector<char>(default_max_write + page);
    std::vector<std::thread> threads_;
};

bool Daemon::attach() {
    device_ = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device_ < 0) {
        std::perror("/dev/fuse");
        return false;
    }
    std::string data = "fd=" + std::to_string(device_) + ",rootmode=40000,user_id=0,group_id=0";
    if (options_.max_read != 0) {
        data += ",max_read=" + std::to_string(options_.max_read);
    }
    const char* point = options_.session.mountpoint;
    if (mount("uringfs", point, "fuse.uringfs", MS_NOSUID | MS_NODEV, data.c_str()) != 0) {
        std::perror(point);
        return false;
    }
    return true;
}

/// The same as libfuse agrees on for nullfs, and the ring.
fuse_init_out Daemon::answer_to(const fuse_init_in& wanted) const {
    std::uint32_t flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
                          FUSE_AUTO_INVAL_DATA | FUSE_ASYNC_DIO | FUSE_MAX_PAGES;
    if (options_.readdirplus) {
        flags |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
    }
    if (options_.writeback_cache) {
        flags |= FUSE_WRITEBACK_CACHE;
    }
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = std::min<std::uint32_t>(wanted.minor, FUSE_KERNEL_MINOR_VERSION);
    out.max_readahead = wanted.max_readahead;
    if (options_.max_readahead != 0) {
        out.max_readahead = std::min(out.max_readahead, options_.max_readahead);
    }
    out.flags = (flags & wanted.flags) | ring::init_flags_extended;
    out.flags2 = ring::init_over_io_uring;
    out.max_background = static_cast<std::uint16_t>(options_.max_background);
    out.congestion_threshold = static_cast<std::uint16_t>(options_.congestion_threshold);
    out.max_write = max_write();
    out.max_pages = static_cast<std::uint16_t>(max_pages());
    out.time_gran = 1;
    return out;
}

/// Answers INIT. Returns the exit code if that must be the end, or 0.
int Daemon::negotiate() {
    ssize_t got = 0;
    do {
        got = read(device_, message_.data(), message_.size());
    } while (got < 0 && errno == EINTR && told_to_stop == 0);
    fuse_in_header header{};
    if (got < static_cast<ssize_t>(sizeof header + sizeof(fuse_init_in))) {
        std::fprintf(stderr, "no INIT: %s\n", std::strerror(errno));
        return 1;
    }
    fuse_init_in wanted{};
    std::memcpy(&header, message_.data(), sizeof header);
    std::memcpy(&wanted, message_.data() + sizeof header, sizeof wanted);
    if ((wanted.flags & ring::init_flags_extended) == 0 ||
        (wanted.flags2 & ring::init_over_io_uring) == 0) {
        std::fprintf(stderr, "the kernel does not offer FUSE over io_uring\n");
        return unavailable;
    }
    struct {
        fuse_out_header header;
        fuse_init_out init;
    } reply{};

    reply.init = answer_to(wanted);
    reply.header.len = sizeof reply;
    reply.header.unique = header.unique;
    if (write(device_, &reply, sizeof reply) != static_cast<ssize_t>(sizeof reply)) {
        std::perror("INIT");
        return 1;
    }
    return 0;
}

bool Daemon::start_queues() {
    const std::size_t payload =
        std::max<std::size_t>({FUSE_MIN_READ_BUFFER, max_write(), max_pages() * page});
    try {
        for (unsigned i = 0; i < possible_cores(); ++i) {
            const UringQueue::Setup setup{device_, i, options_.queue_depth, payload, log_};
            auto queue = std::make_shared<UringQueue>(setup, server_);
            threads_.emplace_back([queue, i] {
                settle_on(i);
                const int error = queue->run();
                if (error != ENOTCONN && error != ECANCELED && error != 0) {
                    std::fprintf(stderr, "ring queue %u: %s\n", i, std::strerror(error));
                }
            });
        }
    } catch (const std::system_error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return false;
    }
    return true;
}

/// Returns false for a message that is none of those that bypass the ring.
bool Daemon::forget(const char* message) {
    fuse_in_header header{};
    std::memcpy(&header, message, sizeof header);
    const char* at = message + sizeof header;
    if (header.opcode == FUSE_FORGET) {
        fuse_forget_in one{};
        std::memcpy(&one, at, sizeof one);
        server_.forget(header.nodeid, one.nlookup);
    } else if (header.opcode == FUSE_BATCH_FORGET) {
        fuse_batch_forget_in batch{};
        std::memcpy(&batch, at, sizeof batch);
        at += sizeof batch;
        for (std::uint32_t i = 0; i < batch.count; ++i, at += sizeof(fuse_forget_one)) {
            fuse_forget_one one{};
            std::memcpy(&one, at, sizeof one);
            server_.forget(one.nodeid, one.nlookup);
        }
    }
    // An INTERRUPT comes too late for a request that is answered at once.
    return header.opcode == FUSE_FORGET || header.opcode == FUSE_BATCH_FORGET ||
           header.opcode == FUSE_INTERRUPT;
}

/// What the kernel does not send through the ring. Returns the exit code.
int Daemon::serve_device() {
    while (told_to_stop == 0) {
        const ssize_t got = read(device_, message_.data(), message_.size());
        if (got >= 0) {
            if (!forget(message_.data())) {
                std::fprintf(stderr, "the kernel does not use the ring\n");
                return 1;
            }
        } else if (errno == ENODEV) {
            break;  // unmounted
        } else if (errno != EINTR && errno != EAGAIN && errno != ENOENT) {
            std::perror("/dev/fuse");
            return 1;
        }
    }
    return 0;
}

int Daemon::run() {
    if (!options_.stamps.empty()) {
        log_ = open_log(options_.stamps);
        if (log_ == nullptr) {
            return 1;
        }
    }
    if (!attach()) {
        return 1;
    }
    const char* point = options_.session.mountpoint;
    int status = 1;
    // As in libfuse, the background comes after the mount and before the first request.
    if (fuse_daemonize(options_.session.foreground) == 0) {
        status = negotiate();
        if (status == 0) {
            status = start_queues() ? serve_device() : 1;
        }
    }
    // The last descriptor's end ends the connection and with it the queues.
    umount2(point, MNT_DETACH);
    std::_Exit(status);
}

}  // namespace

int run_uringfs(int argc, char** argv) {
    fuse_args args = FUSE_ARGS_INIT(argc, argv);
    Options options;
    if (!read_options(args, program, options)) {
        return 2;
    }
    if (args.argc > 1) {
        std::fprintf(stderr, "uringfs: unknown option or argument: %s\n", args.argv[args.argc - 1]);
        return 2;
    }
    if (!enable_uring()) {
        return unavailable;
    }
    struct sigaction action {};

    action.sa_handler = stop;  // and no SA_RESTART: read(2) shall return
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
        sigaction(number, &action, nullptr);
    }
    return Daemon(options).run();
}

}  // namespace fusesim::daemons

int main(int argc, char** argv) {
    return fusesim::daemons::run_uringfs(argc, argv);
}

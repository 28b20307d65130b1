#include "session.h"

#include "stamps.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstring>
#include <string>

namespace fusesim::daemons {

namespace {

constexpr std::uint64_t log_capacity = 1u << 18;

/// Stamps of the request that this worker is serving.
thread_local stamps::Served current{};
std::atomic<std::uint32_t> workers{0};
thread_local const std::uint32_t worker = workers++;

/// One a process: libfuse hands the file system to its readers and writers, not the session.
stamps::Log* log_file = nullptr;

void append() {
    log_file->append(current);
    current.read_entered = 0;
}

ssize_t stamped_read(int fd, void* buffer, size_t size, void*) {
    if (current.read_entered != 0) {
        append();  // the one before wanted no reply
    }
    const std::uint64_t entered = stamps::ticks();
    const ssize_t got = read(fd, buffer, size);
    const std::uint64_t returned = stamps::ticks();
    if (got >= static_cast<ssize_t>(sizeof(fuse_in_header))) {
        const auto* header = static_cast<const fuse_in_header*>(buffer);
        current = {entered, returned, 0, 0, header->unique, header->opcode, worker};
    }
    return got;
}

ssize_t stamped_writev(int fd, iovec* pieces, int count, void*) {
    current.reply_entered = stamps::ticks();
    const ssize_t put = writev(fd, pieces, count);
    current.reply_returned = stamps::ticks();
    if (current.read_entered != 0) {
        append();
    }
    return put;
}

stamps::Log* open_log(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::size_t size = sizeof(stamps::Log) + log_capacity * sizeof(stamps::Served);
    if (fd < 0 || ftruncate(fd, static_cast<off_t>(size)) != 0) {
        std::perror(path.c_str());
        return nullptr;
    }
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) {
        std::perror(path.c_str());
        return nullptr;
    }
    auto* log = static_cast<stamps::Log*>(memory);
    log->used = 0;
    log->capacity = log_capacity;
    return log;
}

/// libfuse takes its own reads and writes only for a descriptor that somebody else mounted.
int mount_by_hand(const Options& options) {
    const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        std::perror("/dev/fuse");
        return -1;
    }
    std::string data = "fd=" + std::to_string(fd) + ",rootmode=40000,user_id=0,group_id=0";
    if (options.max_read != 0) {
        data += ",max_read=" + std::to_string(options.max_read);
    }
    if (mount("nullfs",
              options.session.mountpoint,
              "fuse.nullfs",
              MS_NOSUID | MS_NODEV,
              data.c_str()) != 0) {
        std::perror(options.session.mountpoint);
        close(fd);
        return -1;
    }
    return fd;
}

bool attach(fuse_session* session, const Options& options) {
    if (options.stamps.empty()) {
        return fuse_session_mount(session, options.session.mountpoint) == 0;
    }
    log_file = open_log(options.stamps);
    const int fd = log_file == nullptr ? -1 : mount_by_hand(options);
    if (fd < 0) {
        return false;
    }
    fuse_custom_io io{};
    io.read = stamped_read;
    io.writev = stamped_writev;
    return fuse_session_custom_io(session, &io, fd) == 0;
}

void detach(fuse_session* session, const Options& options) {
    if (options.stamps.empty()) {
        fuse_session_unmount(session);
    } else {
        umount2(options.session.mountpoint, MNT_DETACH);
    }
}

int loop(fuse_session* session, const fuse_cmdline_opts& wanted) {
    if (wanted.singlethread != 0) {
        return fuse_session_loop(session);
    }
    fuse_loop_config* config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_clone_fd(config, static_cast<unsigned>(wanted.clone_fd));
    fuse_loop_cfg_set_max_threads(config, wanted.max_threads);
    if (wanted.max_idle_threads != UINT_MAX) {  // libfuse's own default, which it would refuse
        fuse_loop_cfg_set_idle_threads(config, wanted.max_idle_threads);
    }
    const int result = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    return result;
}

}  // namespace

int serve(fuse_args& args,
          const fuse_lowlevel_ops& operations,
          void* filesystem,
          const Options& options) {
    if (!options.stamps.empty() && options.session.clone_fd != 0) {
        std::fprintf(stderr, "stamps and clone_fd exclude each other\n");
        return 2;
    }
    if (options.max_read != 0 && options.stamps.empty()) {
        fuse_opt_add_arg(&args, ("-omax_read=" + std::to_string(options.max_read)).c_str());
    }
    fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, filesystem);
    if (session == nullptr) {
        return 2;
    }
    int status = 1;
    if (fuse_set_signal_handlers(session) == 0) {
        // Becoming a daemon comes after the mount, so that the caller's shell sees failures.
        if (attach(session, options)) {
            if (fuse_daemonize(options.session.foreground) == 0) {
                status = loop(session, options.session) < 0 ? 1 : 0;
            }
            detach(session, options);
        }
        fuse_remove_signal_handlers(session);
    }
    fuse_session_destroy(session);
    return status;
}

}  // namespace fusesim::daemons

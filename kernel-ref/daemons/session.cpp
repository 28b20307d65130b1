#include "session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
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

// What the kernel's protocol header has since 7.40 (include/uapi/linux/fuse.h of Linux 6.9).
constexpr std::uint32_t init_flags_extended = 1u << 30;  // FUSE_INIT_EXT: flags2 counts
constexpr std::uint32_t init_passthrough = 1u << 5;      // FUSE_PASSTHROUGH, bit 37, in flags2
constexpr std::uint32_t open_passthrough = 1u << 7;      // FOPEN_PASSTHROUGH
constexpr std::size_t init_flags_at = 12;                // in fuse_init_out
constexpr std::size_t init_flags2_at = 32;
constexpr std::size_t init_max_stack_depth_at = 36;
constexpr std::size_t init_out_size = 64;
constexpr std::size_t init_in_flags2_at = 16;  // in fuse_init_in
constexpr std::size_t open_flags_at = 8;       // in fuse_open_out
constexpr std::size_t backing_id_at = 12;
constexpr std::size_t open_out_size = 16;

/// struct fuse_backing_map.
struct BackingMap {
    std::int32_t fd;
    std::uint32_t flags;
    std::uint64_t padding;
};

constexpr unsigned long backing_open = _IOW(229, 1, BackingMap);      // FUSE_DEV_IOC_BACKING_OPEN
constexpr unsigned long backing_close = _IOW(229, 2, std::uint32_t);  // FUSE_DEV_IOC_BACKING_CLOSE

bool passing_through = false;
bool unavailable = false;  ///< the kernel lacks what the options want
thread_local int next_backing_id = 0;

/// The opcode of the request that this worker is serving.
thread_local std::uint32_t current_opcode = 0;

std::uint32_t word_at(const char* at) {
    std::uint32_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
}

void set_word(char* at, std::uint32_t value) {
    std::memcpy(at, &value, sizeof value);
}

void add_flags(char* at, std::uint32_t flags) {
    set_word(at, word_at(at) | flags);
}

/// libfuse before 3.17 knows nothing of passing through: its replies to INIT, OPEN and CREATE
/// get what is missing on their way out. The answer's last bytes are the open part.
void patch_reply(iovec* pieces, int count) {
    if (count != 2) {
        return;  // an error, or a reply that is sent in more pieces
    }
    char* answer = static_cast<char*>(pieces[1].iov_base);
    const std::size_t size = pieces[1].iov_len;
    if (current_opcode == FUSE_INIT && size >= init_out_size) {
        add_flags(answer + init_flags_at, init_flags_extended);
        add_flags(answer + init_flags2_at, init_passthrough);
        set_word(answer + init_max_stack_depth_at, 1);
    }
    if ((current_opcode == FUSE_OPEN || current_opcode == FUSE_CREATE) && next_backing_id > 0 &&
        size >= open_out_size) {
        char* opened = answer + size - open_out_size;
        add_flags(opened + open_flags_at, open_passthrough);
        set_word(opened + backing_id_at, static_cast<std::uint32_t>(next_backing_id));
        next_backing_id = 0;
    }
}

bool offers_passthrough(const char* message, std::size_t size) {
    const char* init = message + sizeof(fuse_in_header);
    return size >= sizeof(fuse_in_header) + init_in_flags2_at + sizeof(std::uint32_t) &&
           (word_at(init + init_flags_at) & init_flags_extended) != 0 &&
           (word_at(init + init_in_flags2_at) & init_passthrough) != 0;
}

ssize_t read_request(int fd, void* buffer, size_t size, void*) {
    if (current.read_entered != 0) {
        append();  // the one before wanted no reply
    }
    const std::uint64_t entered = log_file != nullptr ? stamps::ticks() : 0;
    const ssize_t got = read(fd, buffer, size);
    const std::uint64_t returned = log_file != nullptr ? stamps::ticks() : 0;
    if (got >= static_cast<ssize_t>(sizeof(fuse_in_header))) {
        const auto* header = static_cast<const fuse_in_header*>(buffer);
        current_opcode = header->opcode;
        current = {entered, returned, 0, 0, header->unique, header->opcode, worker};
        if (passing_through && current_opcode == FUSE_INIT &&
            !offers_passthrough(static_cast<const char*>(buffer), static_cast<size_t>(got))) {
            std::fprintf(stderr, "this kernel has no FUSE passthrough (Linux 6.9 or newer)\n");
            unavailable = true;
            errno = ENODEV;  // ends the loop as an unmount does
            return -1;
        }
    }
    return got;
}

ssize_t write_reply(int fd, iovec* pieces, int count, void*) {
    if (passing_through) {
        patch_reply(pieces, count);
    }
    if (log_file == nullptr) {
        return writev(fd, pieces, count);
    }
    current.reply_entered = stamps::ticks();
    const ssize_t put = writev(fd, pieces, count);
    current.reply_returned = stamps::ticks();
    if (current.read_entered != 0) {
        append();
    }
    return put;
}

/// libfuse takes other reads and writes only for a descriptor that somebody else mounted.
int mount_by_hand(const Program& program, const Options& options) {
    const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        std::perror("/dev/fuse");
        return -1;
    }
    std::string data = "fd=" + std::to_string(fd) + ",rootmode=40000,user_id=0,group_id=0";
    if (options.max_read != 0) {
        data += ",max_read=" + std::to_string(options.max_read);
    }
    const std::string type = std::string("fuse.") + program.name;
    if (mount(program.name,
              options.session.mountpoint,
              type.c_str(),
              MS_NOSUID | MS_NODEV,
              data.c_str()) != 0) {
        std::perror(options.session.mountpoint);
        close(fd);
        return -1;
    }
    return fd;
}

bool by_hand(const Options& options) {
    return !options.stamps.empty() || options.passthrough;
}

bool attach(fuse_session* session, const Program& program, const Options& options) {
    if (!by_hand(options)) {
        return fuse_session_mount(session, options.session.mountpoint) == 0;
    }
    passing_through = options.passthrough;
    if (!options.stamps.empty()) {
        log_file = open_log(options.stamps);
        if (log_file == nullptr) {
            return false;
        }
    }
    const int fd = mount_by_hand(program, options);
    if (fd < 0) {
        return false;
    }
    fuse_custom_io io{};
    io.read = read_request;
    io.writev = write_reply;
    return fuse_session_custom_io(session, &io, fd) == 0;
}

void detach(fuse_session* session, const Options& options) {
    if (by_hand(options)) {
        umount2(options.session.mountpoint, MNT_DETACH);
    } else {
        fuse_session_unmount(session);
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

void add_mount_options(fuse_args& args, const Options& options) {
    if (options.max_read != 0 && !by_hand(options)) {
        fuse_opt_add_arg(&args, ("-omax_read=" + std::to_string(options.max_read)).c_str());
    }
}

int serve(fuse_session* session, const Program& program, const Options& options) {
    if (fuse_set_signal_handlers(session) != 0) {
        return 1;
    }
    int status = 1;
    // Becoming a daemon comes after the mount, so that the caller's shell sees failures.
    if (attach(session, program, options)) {
        if (fuse_daemonize(options.session.foreground) == 0) {
            status = loop(session, options.session) < 0 ? 1 : unavailable ? 4 : 0;
        }
        detach(session, options);
    }
    fuse_remove_signal_handlers(session);
    return status;
}

int open_backing(fuse_session* session, int fd) {
    const BackingMap map{fd, 0, 0};
    const int id = ioctl(fuse_session_fd(session), backing_open, &map);
    return id > 0 ? id : -errno;
}

void close_backing(fuse_session* session, int backing_id) {
    auto id = static_cast<std::uint32_t>(backing_id);
    ioctl(fuse_session_fd(session), backing_close, &id);
}

void pass_through_next(int backing_id) {
    next_backing_id = backing_id;
}

}  // namespace fusesim::daemons

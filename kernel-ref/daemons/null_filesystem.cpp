#include "null_filesystem.h"

#include "null_tree.h"
#include "options.h"
#include "session.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

namespace fusesim::daemons {

namespace {

constexpr std::size_t largest_read = 1u << 20;

/// Aligned like the buffers of libfuse's own data path, so that the kernel maps as many pages.
struct alignas(4096) Zeros {
    char bytes[largest_read];
};

/// The tree, and the time that each request takes.
class NullFileSystem {
  public:
    explicit NullFileSystem(const Options& options)
        : tree(options), zeros_(std::make_unique<Zeros>()), random_(options.service.seed) {}

    const Options& options() const { return tree.options(); }

    const char* zeros() const { return zeros_->bytes; }

    /// Takes the service time of one request; a null file system takes none.
    void serve() {
        const Service& service = options().service;
        if (service.seconds <= 0) {
            return;
        }
        double seconds = service.seconds;
        if (service.exponential) {
            const std::lock_guard lock(random_mutex_);
            seconds = std::exponential_distribution<>(1 / service.seconds)(random_);
        }
        if (service.spin) {
            spin(seconds);
        } else {
            sleep(seconds);
        }
    }

    NullTree tree;

  private:
    static void spin(double seconds) {
        timespec now{};
        clock_gettime(CLOCK_MONOTONIC, &now);
        const double end =
            static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 + seconds;
        do {
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while (static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 < end);
    }

    static void sleep(double seconds) {
        // The default slack would add 50 us to every service time.
        thread_local const int slack = prctl(PR_SET_TIMERSLACK, 1UL);
        static_cast<void>(slack);
        timespec left{};
        left.tv_sec = static_cast<time_t>(seconds);
        left.tv_nsec = static_cast<long>((seconds - static_cast<double>(left.tv_sec)) * 1e9);
        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
        }
    }

    std::unique_ptr<Zeros> zeros_;
    std::mutex random_mutex_;
    std::mt19937_64 random_;
};

NullFileSystem& filesystem(fuse_req_t request) {
    return *static_cast<NullFileSystem*>(fuse_req_userdata(request));
}

/// The file system of a request, after the time that the request takes.
NullFileSystem& served(fuse_req_t request) {
    NullFileSystem& fs = filesystem(request);
    fs.serve();
    return fs;
}

void init(void* userdata, fuse_conn_info* connection) {
    negotiate(static_cast<NullFileSystem*>(userdata)->options(), *connection);
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    NullFileSystem& fs = served(request);
    fuse_entry_param entry = fs.tree.lookup(parent, name);
    if (entry.ino == 0 && fs.options().negative_timeout <= 0) {
        fuse_reply_err(request, ENOENT);
        return;
    }
    if (entry.ino == 0) {
        entry.entry_timeout = fs.options().negative_timeout;
    }
    fuse_reply_entry(request, &entry);
}

void forget(fuse_req_t request, fuse_ino_t ino, std::uint64_t lookups) {
    filesystem(request).tree.forget(ino, lookups);
    fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
    for (std::size_t i = 0; i < count; ++i) {
        filesystem(request).tree.forget(forgets[i].ino, forgets[i].nlookup);
    }
    fuse_reply_none(request);
}

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
    NullFileSystem& fs = served(request);
    const struct stat attributes = fs.tree.getattr(ino);
    fuse_reply_attr(request, &attributes, fs.options().attr_timeout);
}

void setattr(fuse_req_t request, fuse_ino_t ino, struct stat* wanted, int which, fuse_file_info*) {
    NullFileSystem& fs = served(request);
    const struct stat attributes = fs.tree.setattr(ino, *wanted, which);
    fuse_reply_attr(request, &attributes, fs.options().attr_timeout);
}

void create(
    fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
    NullFileSystem& fs = served(request);
    const fuse_entry_param entry = fs.tree.make(parent, name, S_IFREG | (mode & 07777));
    if (entry.ino == 0) {
        fuse_reply_err(request, EEXIST);
        return;
    }
    apply_open_flags(fs.options(), *info);
    fuse_reply_create(request, &entry, info);
}

void reply_made(fuse_req_t request, const fuse_entry_param& entry) {
    if (entry.ino == 0) {
        fuse_reply_err(request, EEXIST);
    } else {
        fuse_reply_entry(request, &entry);
    }
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
    NullFileSystem& fs = served(request);
    if (!S_ISREG(mode)) {
        fuse_reply_err(request, EPERM);
        return;
    }
    reply_made(request, fs.tree.make(parent, name, mode));
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    reply_made(request, served(request).tree.make(parent, name, S_IFDIR | (mode & 07777)));
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    fuse_reply_err(request, served(request).tree.remove(parent, name, false));
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    fuse_reply_err(request, served(request).tree.remove(parent, name, true));
}

void rename(fuse_req_t request,
            fuse_ino_t from,
            const char* name,
            fuse_ino_t to,
            const char* new_name,
            unsigned flags) {
    fuse_reply_err(request, served(request).tree.rename(from, name, to, new_name, flags));
}

void open(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    apply_open_flags(served(request).options(), *info);
    fuse_reply_open(request, info);
}

void read(fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info*) {
    NullFileSystem& fs = served(request);
    const std::size_t amount = std::min(fs.tree.readable(ino, size, offset), largest_read);
    if (!fs.options().splice_write) {
        fuse_reply_buf(request, fs.zeros(), amount);
        return;
    }
    fuse_bufvec data{};
    data.count = 1;
    data.buf[0].size = amount;
    data.buf[0].fd = -1;
    data.buf[0].mem = const_cast<char*>(fs.zeros());
    fuse_reply_data(request, &data, FUSE_BUF_SPLICE_MOVE);
}

void write_buf(
    fuse_req_t request, fuse_ino_t ino, fuse_bufvec* data, off_t offset, fuse_file_info*) {
    NullFileSystem& fs = served(request);
    const std::size_t size = fuse_buf_size(data);
    fs.tree.grow(ino, offset + static_cast<off_t>(size));
    fuse_reply_write(request, size);
}

void succeed(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
    served(request);
    fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    served(request);
    fuse_reply_err(request, 0);
}

void fallocate(
    fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t length, fuse_file_info*) {
    NullFileSystem& fs = served(request);
    if (mode != 0) {
        fuse_reply_err(request, EOPNOTSUPP);
        return;
    }
    fs.tree.grow(ino, offset + length);
    fuse_reply_err(request, 0);
}

void opendir(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
    info->fh = served(request).tree.open_directory(ino);
    fuse_reply_open(request, info);
}

void list(fuse_req_t request,
          fuse_ino_t ino,
          std::size_t size,
          off_t offset,
          fuse_file_info* info,
          bool plus) {
    NullFileSystem& fs = served(request);
    std::vector<char> reply(size);
    const std::size_t used = fs.tree.list(ino, info->fh, offset, plus, reply.data(), size);
    fuse_reply_buf(request, reply.data(), used);
}

void readdir(
    fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info* info) {
    list(request, ino, size, offset, info, false);
}

void readdirplus(
    fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info* info) {
    list(request, ino, size, offset, info, true);
}

void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    served(request).tree.release_directory(info->fh);
    fuse_reply_err(request, 0);
}

void statfs(fuse_req_t request, fuse_ino_t) {
    served(request);
    const struct statvfs out = NullTree::space();
    fuse_reply_statfs(request, &out);
}

fuse_lowlevel_ops operations() {
    fuse_lowlevel_ops ops{};
    ops.init = init;
    ops.lookup = lookup;
    ops.forget = forget;
    ops.forget_multi = forget_multi;
    ops.getattr = getattr;
    ops.setattr = setattr;
    ops.create = create;
    ops.mknod = mknod;
    ops.mkdir = mkdir;
    ops.unlink = unlink;
    ops.rmdir = rmdir;
    ops.rename = rename;
    ops.open = open;
    ops.read = read;
    ops.write_buf = write_buf;
    ops.flush = succeed;
    ops.release = succeed;
    ops.fsync = fsync;
    ops.fallocate = fallocate;
    ops.opendir = opendir;
    ops.readdir = readdir;
    ops.readdirplus = readdirplus;
    ops.releasedir = releasedir;
    ops.fsyncdir = fsync;
    ops.statfs = statfs;
    return ops;
}

}  // namespace

int run_null_filesystem(int argc, char** argv, const Program& program) {
    fuse_args args = FUSE_ARGS_INIT(argc, argv);
    Options options;
    int status = 2;
    if (read_options(args, program, options)) {
        NullFileSystem fs(options);
        const fuse_lowlevel_ops ops = operations();
        add_mount_options(args, options);
        fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, &fs);
        if (session != nullptr) {
            status = serve(session, program, options);
            fuse_session_destroy(session);
        }
    }
    std::free(options.session.mountpoint);
    fuse_opt_free_args(&args);
    return status;
}

}  // namespace fusesim::daemons

#include "stack_filesystem.h"

#include "directory_reader.h"
#include "inode_table.h"
#include "open_handles.h"
#include "session.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace fusesim::daemons {

namespace {

constexpr std::size_t page = 4096;

/// What the handlers share; the session is set once it exists.
struct StackFileSystem {
    StackFileSystem(const Options& wanted, int root) : options(wanted), inodes(root) {}

    Inode& inode(fuse_ino_t ino) {
        return ino == FUSE_ROOT_ID ? inodes.root() : *reinterpret_cast<Inode*>(ino);
    }

    fuse_ino_t ino(Inode& inode) {
        return &inode == &inodes.root() ? FUSE_ROOT_ID : reinterpret_cast<fuse_ino_t>(&inode);
    }

    Options options;
    InodeTable inodes;
    OpenHandles<DirectoryReader> directories;
    fuse_session* session = nullptr;
};

/// The name of a held file for calls that take no O_PATH descriptor.
class ByDescriptor {
  public:
    explicit ByDescriptor(int fd) { std::snprintf(path_, sizeof path_, "/proc/self/fd/%d", fd); }

    const char* path() const { return path_; }

  private:
    char path_[32];
};

/// Page-aligned memory of this thread for data that is read, so that the kernel maps as few
/// pages as libfuse's own buffers would need.
char* read_buffer(std::size_t size) {
    struct Free {
        void operator()(char* memory) const { std::free(memory); }
    };

    thread_local std::unique_ptr<char, Free> memory;
    thread_local std::size_t held = 0;
    if (held < size) {
        held = (size + page - 1) / page * page;
        memory.reset(static_cast<char*>(std::aligned_alloc(page, held)));
    }
    return memory.get();
}

StackFileSystem& filesystem(fuse_req_t request) {
    return *static_cast<StackFileSystem*>(fuse_req_userdata(request));
}

int file_of(const fuse_file_info* info) {
    return static_cast<int>(info->fh);
}

void reply_result(fuse_req_t request, int result) {
    fuse_reply_err(request, result < 0 ? errno : 0);
}

void init(void* userdata, fuse_conn_info* connection) {
    negotiate(static_cast<StackFileSystem*>(userdata)->options, *connection);
}

/// Finds a name below and counts the lookup; returns the error number.
int find(StackFileSystem& fs, fuse_ino_t parent, const char* name, fuse_entry_param& entry) {
    const int fd = openat(fs.inode(parent).fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    if (fstatat(fd, "", &entry.attr, AT_EMPTY_PATH) != 0) {
        const int error = errno;
        close(fd);
        return error;
    }
    entry.ino = fs.ino(fs.inodes.remember(fd, entry.attr));
    entry.attr_timeout = fs.options.attr_timeout;
    entry.entry_timeout = fs.options.entry_timeout;
    return 0;
}

/// Answers with the name as it is now, after it has been made.
void reply_made(fuse_req_t request, int result, fuse_ino_t parent, const char* name) {
    fuse_entry_param entry{};
    const int error = result < 0 ? errno : find(filesystem(request), parent, name, entry);
    if (error != 0) {
        fuse_reply_err(request, error);
    } else {
        fuse_reply_entry(request, &entry);
    }
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    StackFileSystem& fs = filesystem(request);
    fuse_entry_param entry{};
    const int error = find(fs, parent, name, entry);
    if (error == 0) {
        fuse_reply_entry(request, &entry);
    } else if (error == ENOENT && fs.options.negative_timeout > 0) {
        entry.entry_timeout = fs.options.negative_timeout;
        fuse_reply_entry(request, &entry);
    } else {
        fuse_reply_err(request, error);
    }
}

void forget(fuse_req_t request, fuse_ino_t ino, std::uint64_t lookups) {
    StackFileSystem& fs = filesystem(request);
    fs.inodes.forget(fs.inode(ino), lookups);
    fuse_reply_none(request);
}

void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
    StackFileSystem& fs = filesystem(request);
    for (std::size_t i = 0; i < count; ++i) {
        fs.inodes.forget(fs.inode(forgets[i].ino), forgets[i].nlookup);
    }
    fuse_reply_none(request);
}

void reply_attributes(fuse_req_t request, fuse_ino_t ino) {
    StackFileSystem& fs = filesystem(request);

    struct stat attributes {};

    if (fstatat(fs.inode(ino).fd, "", &attributes, AT_EMPTY_PATH) != 0) {
        fuse_reply_err(request, errno);
        return;
    }
    fuse_reply_attr(request, &attributes, fs.options.attr_timeout);
}

void getattr(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
    reply_attributes(request, ino);
}

int change_owner(Inode& inode, const struct stat& wanted, int which) {
    const uid_t user = (which & FUSE_SET_ATTR_UID) != 0 ? wanted.st_uid : static_cast<uid_t>(-1);
    const gid_t group = (which & FUSE_SET_ATTR_GID) != 0 ? wanted.st_gid : static_cast<gid_t>(-1);
    return fchownat(inode.fd, "", user, group, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
}

int change_times(Inode& inode, const struct stat& wanted, int which) {
    const auto chosen = [which](int set, int now, timespec time) {
        if ((which & now) != 0) {
            time.tv_nsec = UTIME_NOW;
        } else if ((which & set) == 0) {
            time.tv_nsec = UTIME_OMIT;
        }
        return time;
    };
    const timespec times[2] = {
        chosen(FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, wanted.st_atim),
        chosen(FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, wanted.st_mtim)};
    return utimensat(AT_FDCWD, ByDescriptor(inode.fd).path(), times, 0);
}

/// Returns a negative number and leaves errno if a call below failed.
int change(Inode& inode, const struct stat& wanted, int which, const fuse_file_info* info) {
    const ByDescriptor name(inode.fd);
    if ((which & FUSE_SET_ATTR_MODE) != 0 && chmod(name.path(), wanted.st_mode) != 0) {
        return -1;
    }
    if ((which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0 &&
        change_owner(inode, wanted, which) != 0) {
        return -1;
    }
    if ((which & FUSE_SET_ATTR_SIZE) != 0) {
        const int result = info != nullptr ? ftruncate(file_of(info), wanted.st_size)
                                           : truncate(name.path(), wanted.st_size);
        if (result != 0) {
            return -1;
        }
    }
    constexpr int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME |
                          FUSE_SET_ATTR_MTIME_NOW;
    return (which & times) != 0 ? change_times(inode, wanted, which) : 0;
}

void setattr(
    fuse_req_t request, fuse_ino_t ino, struct stat* wanted, int which, fuse_file_info* info) {
    if (change(filesystem(request).inode(ino), *wanted, which, info) != 0) {
        fuse_reply_err(request, errno);
        return;
    }
    reply_attributes(request, ino);
}

void readlink(fuse_req_t request, fuse_ino_t ino) {
    char target[PATH_MAX + 1];
    const ssize_t length =
        readlinkat(filesystem(request).inode(ino).fd, "", target, sizeof target - 1);
    if (length < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    target[length] = '\0';
    fuse_reply_readlink(request, target);
}

/// How to open below: a writeback cache reads files that are open for writing only, and appends
/// by itself.
int flags_below(const Options& options, int flags) {
    flags &= ~(O_NOFOLLOW | O_CREAT | O_EXCL);
    if (options.writeback_cache) {
        if ((flags & O_ACCMODE) == O_WRONLY) {
            flags = (flags & ~O_ACCMODE) | O_RDWR;
        }
        flags &= ~O_APPEND;
    }
    return flags | O_CLOEXEC;
}

/// Hands a file that was opened below to the kernel; says how in `info`. Without luck its
/// reads and writes come to the daemon as ever.
void pass_through(StackFileSystem& fs, Inode& inode, fuse_file_info& info) {
    const std::lock_guard lock(inode.backing_mutex);
    if (inode.backing_users == 0) {
        const int id = open_backing(fs.session, file_of(&info));
        if (id < 0) {
            static std::once_flag once;
            std::call_once(
                once, [id] { std::fprintf(stderr, "no passthrough: %s\n", std::strerror(-id)); });
            return;
        }
        inode.backing_id = id;
    }
    ++inode.backing_users;
    pass_through_next(inode.backing_id);
}

void end_pass_through(StackFileSystem& fs, Inode& inode) {
    const std::lock_guard lock(inode.backing_mutex);
    if (inode.backing_users > 0 && --inode.backing_users == 0) {
        close_backing(fs.session, inode.backing_id);
    }
}

void opened(StackFileSystem& fs, fuse_ino_t ino, int fd, fuse_file_info& info) {
    info.fh = static_cast<std::uint64_t>(fd);
    apply_open_flags(fs.options, info);
    if (fs.options.passthrough) {
        pass_through(fs, fs.inode(ino), info);
    }
}

void open(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
    StackFileSystem& fs = filesystem(request);
    const int fd =
        ::open(ByDescriptor(fs.inode(ino).fd).path(), flags_below(fs.options, info->flags));
    if (fd < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    opened(fs, ino, fd, *info);
    fuse_reply_open(request, info);
}

void create(
    fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
    StackFileSystem& fs = filesystem(request);
    const int exclusive = info->flags & O_EXCL;
    const int fd = openat(fs.inode(parent).fd,
                          name,
                          flags_below(fs.options, info->flags) | O_CREAT | exclusive | O_NOFOLLOW,
                          mode);
    if (fd < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    fuse_entry_param entry{};
    const int error = find(fs, parent, name, entry);
    if (error != 0) {
        close(fd);
        fuse_reply_err(request, error);
        return;
    }
    opened(fs, entry.ino, fd, *info);
    fuse_reply_create(request, &entry, info);
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
    const int below = filesystem(request).inode(parent).fd;
    reply_made(request, mknodat(below, name, mode, device), parent, name);
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    reply_made(request, mkdirat(filesystem(request).inode(parent).fd, name, mode), parent, name);
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
    reply_made(
        request, symlinkat(target, filesystem(request).inode(parent).fd, name), parent, name);
}

void link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
    StackFileSystem& fs = filesystem(request);
    const ByDescriptor from(fs.inode(ino).fd);
    const int result = linkat(AT_FDCWD, from.path(), fs.inode(parent).fd, name, AT_SYMLINK_FOLLOW);
    reply_made(request, result, parent, name);
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    reply_result(request, unlinkat(filesystem(request).inode(parent).fd, name, 0));
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    reply_result(request, unlinkat(filesystem(request).inode(parent).fd, name, AT_REMOVEDIR));
}

void rename(fuse_req_t request,
            fuse_ino_t from,
            const char* name,
            fuse_ino_t to,
            const char* new_name,
            unsigned flags) {
    StackFileSystem& fs = filesystem(request);
    reply_result(request, renameat2(fs.inode(from).fd, name, fs.inode(to).fd, new_name, flags));
}

void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    if (filesystem(request).options.splice_write) {
        fuse_bufvec data{};
        data.count = 1;
        data.buf[0].size = size;
        data.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
        data.buf[0].fd = file_of(info);
        data.buf[0].pos = offset;
        fuse_reply_data(request, &data, FUSE_BUF_SPLICE_MOVE);
        return;
    }
    char* buffer = read_buffer(size);
    const ssize_t got = pread(file_of(info), buffer, size, offset);
    if (got < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    fuse_reply_buf(request, buffer, static_cast<std::size_t>(got));
}

/// Data that the library has spliced from the device lies in a pipe and is spliced on.
ssize_t write_pipe(fuse_bufvec& data, int fd, off_t offset) {
    fuse_bufvec below{};
    below.count = 1;
    below.buf[0].size = fuse_buf_size(&data);
    below.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
    below.buf[0].fd = fd;
    below.buf[0].pos = offset;
    const ssize_t put = fuse_buf_copy(&below, &data, FUSE_BUF_SPLICE_MOVE);
    if (put < 0) {
        errno = static_cast<int>(-put);
    }
    return put;
}

void write_buf(
    fuse_req_t request, fuse_ino_t, fuse_bufvec* data, off_t offset, fuse_file_info* info) {
    const fuse_buf& first = data->buf[0];
    const bool in_memory =
        data->count == 1 && (first.flags & FUSE_BUF_IS_FD) == 0 && data->off == 0;
    const ssize_t put = in_memory ? pwrite(file_of(info), first.mem, first.size, offset)
                                  : write_pipe(*data, file_of(info), offset);
    if (put < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    fuse_reply_write(request, static_cast<std::size_t>(put));
}

void flush(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
    fuse_reply_err(request, 0);
}

void release(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
    StackFileSystem& fs = filesystem(request);
    if (fs.options.passthrough) {
        end_pass_through(fs, fs.inode(ino));
    }
    close(file_of(info));
    fuse_reply_err(request, 0);
}

void fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
    const int fd = file_of(info);
    reply_result(request, data_only != 0 ? fdatasync(fd) : ::fsync(fd));
}

void fallocate(
    fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info* info) {
    reply_result(request, ::fallocate(file_of(info), mode, offset, length));
}

void opendir(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
    StackFileSystem& fs = filesystem(request);
    const int fd = openat(fs.inode(ino).fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        fuse_reply_err(request, errno);
        return;
    }
    info->fh = fs.directories.add(std::make_unique<DirectoryReader>(fd));
    fuse_reply_open(request, info);
}

bool is_dots(const char* name) {
    return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0;
}

/// Looks an entry up for READDIRPLUS. The two that are no lookups, and a name that has just
/// gone, are told by number and type alone.
fuse_entry_param entry_of(StackFileSystem& fs,
                          fuse_ino_t parent,
                          const DirectoryReader::Entry& listed,
                          bool plus) {
    fuse_entry_param entry{};
    if (!plus || is_dots(listed.name) || find(fs, parent, listed.name, entry) != 0) {
        entry.attr.st_ino = listed.number;
        entry.attr.st_mode = static_cast<mode_t>(DTTOIF(listed.type));
    }
    return entry;
}

void list(fuse_req_t request,
          fuse_ino_t ino,
          std::size_t size,
          off_t offset,
          fuse_file_info* info,
          bool plus) {
    StackFileSystem& fs = filesystem(request);
    DirectoryReader& reader = fs.directories.at(info->fh);
    reader.seek(offset);
    std::vector<char> reply(size);
    std::size_t used = 0;
    DirectoryReader::Entry listed{};
    while (reader.peek(listed)) {
        char* to = reply.data() + used;
        const std::size_t left = size - used;
        // A lookup is counted only if its entry is told.
        const std::size_t need =
            plus ? fuse_add_direntry_plus(request, nullptr, 0, listed.name, nullptr, 0)
                 : fuse_add_direntry(request, nullptr, 0, listed.name, nullptr, 0);
        if (need > left) {
            break;
        }
        const fuse_entry_param entry = entry_of(fs, ino, listed, plus);
        if (plus) {
            fuse_add_direntry_plus(request, to, left, listed.name, &entry, listed.next);
        } else {
            fuse_add_direntry(request, to, left, listed.name, &entry.attr, listed.next);
        }
        used += need;
        reader.advance();
    }
    if (used == 0 && reader.error() != 0) {
        fuse_reply_err(request, reader.error());
        return;
    }
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
    filesystem(request).directories.release(info->fh);
    fuse_reply_err(request, 0);
}

void fsyncdir(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
    const int fd = filesystem(request).directories.at(info->fh).fd();
    reply_result(request, data_only != 0 ? fdatasync(fd) : ::fsync(fd));
}

void statfs(fuse_req_t request, fuse_ino_t ino) {
    struct statvfs out {};

    if (fstatvfs(filesystem(request).inode(ino).fd, &out) != 0) {
        fuse_reply_err(request, errno);
        return;
    }
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
    ops.readlink = readlink;
    ops.create = create;
    ops.mknod = mknod;
    ops.mkdir = mkdir;
    ops.symlink = symlink;
    ops.link = link;
    ops.unlink = unlink;
    ops.rmdir = rmdir;
    ops.rename = rename;
    ops.open = open;
    ops.read = read;
    ops.write_buf = write_buf;
    ops.flush = flush;
    ops.release = release;
    ops.fsync = fsync;
    ops.fallocate = fallocate;
    ops.opendir = opendir;
    ops.readdir = readdir;
    ops.readdirplus = readdirplus;
    ops.releasedir = releasedir;
    ops.fsyncdir = fsyncdir;
    ops.statfs = statfs;
    return ops;
}

int run_by_inode(fuse_args& args, const Program& program, const Options& options) {
    const int root = ::open(options.source.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        std::perror(options.source.c_str());
        return 2;
    }
    StackFileSystem fs(options, root);
    const fuse_lowlevel_ops ops = operations();
    add_mount_options(args, options);
    fs.session = fuse_session_new(&args, &ops, sizeof ops, &fs);
    if (fs.session == nullptr) {
        return 2;
    }
    const int status = serve(fs.session, program, options);
    fuse_session_destroy(fs.session);
    return status;
}

}  // namespace

int run_stack_filesystem(int argc, char** argv, const Program& program) {
    fuse_args args = FUSE_ARGS_INIT(argc, argv);
    Options options;
    int status = 2;
    if (read_options(args, program, options)) {
        umask(0);  // the kernel has applied the caller's
        status = options.high_level ? run_stack_by_path(args, program, options)
                                    : run_by_inode(args, program, options);
    }
    std::free(options.session.mountpoint);
    fuse_opt_free_args(&args);
    return status;
}

}  // namespace fusesim::daemons

#include "directory_reader.h"
#include "open_handles.h"
#include "session.h"
#include "stack_filesystem.h"

#include <dirent.h>
#include <fcntl.h>
#include <fuse.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

namespace fusesim::daemons {

namespace {

/// The library's path API gives no user data beyond this.
struct StackByPath {
    Options options;
    int root = -1;
    OpenHandles<DirectoryReader> directories;
};

StackByPath& filesystem() {
    return *static_cast<StackByPath*>(fuse_get_context()->private_data);
}

int root() {
    return filesystem().root;
}

/// The library's paths begin with a slash; below they are relative to the root's descriptor.
const char* below(const char* path) {
    return path[1] == '\0' ? "." : path + 1;
}

int result_of(int result) {
    return result < 0 ? -errno : 0;
}

int file_of(const fuse_file_info* info) {
    return static_cast<int>(info->fh);
}

void* init(fuse_conn_info* connection, fuse_config* config) {
    StackByPath& fs = filesystem();
    negotiate(fs.options, *connection);
    config->entry_timeout = fs.options.entry_timeout;
    config->attr_timeout = fs.options.attr_timeout;
    config->negative_timeout = fs.options.negative_timeout;
    config->kernel_cache = fs.options.keep_cache ? 1 : 0;
    config->use_ino = 1;
    config->nullpath_ok = 1;  // handlers of open files use their descriptor
    return &fs;
}

int getattr(const char* path, struct stat* attributes, fuse_file_info* info) {
    return result_of(info != nullptr
                         ? fstat(file_of(info), attributes)
                         : fstatat(root(), below(path), attributes, AT_SYMLINK_NOFOLLOW));
}

int readlink(const char* path, char* target, std::size_t size) {
    const ssize_t length = readlinkat(root(), below(path), target, size - 1);
    if (length < 0) {
        return -errno;
    }
    target[length] = '\0';
    return 0;
}

int mknod(const char* path, mode_t mode, dev_t device) {
    return result_of(mknodat(root(), below(path), mode, device));
}

int mkdir(const char* path, mode_t mode) {
    return result_of(mkdirat(root(), below(path), mode));
}

int unlink(const char* path) {
    return result_of(unlinkat(root(), below(path), 0));
}

int rmdir(const char* path) {
    return result_of(unlinkat(root(), below(path), AT_REMOVEDIR));
}

int symlink(const char* target, const char* path) {
    return result_of(symlinkat(target, root(), below(path)));
}

int rename(const char* from, const char* to, unsigned flags) {
    return result_of(renameat2(root(), below(from), root(), below(to), flags));
}

int link(const char* from, const char* to) {
    return result_of(linkat(root(), below(from), root(), below(to), 0));
}

int chmod(const char* path, mode_t mode, fuse_file_info* info) {
    return result_of(info != nullptr ? fchmod(file_of(info), mode)
                                     : fchmodat(root(), below(path), mode, 0));
}

int chown(const char* path, uid_t user, gid_t group, fuse_file_info* info) {
    return result_of(info != nullptr
                         ? fchown(file_of(info), user, group)
                         : fchownat(root(), below(path), user, group, AT_SYMLINK_NOFOLLOW));
}

int open_below(const char* path, int flags, mode_t mode) {
    if (filesystem().options.writeback_cache) {
        if ((flags & O_ACCMODE) == O_WRONLY) {
            flags = (flags & ~O_ACCMODE) | O_RDWR;
        }
        flags &= ~O_APPEND;
    }
    return openat(root(), below(path), flags | O_CLOEXEC, mode);
}

int truncate(const char* path, off_t size, fuse_file_info* info) {
    if (info != nullptr) {
        return result_of(ftruncate(file_of(info), size));
    }
    const int fd = openat(root(), below(path), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    const int result = result_of(ftruncate(fd, size));
    close(fd);
    return result;
}

int utimens(const char* path, const timespec times[2], fuse_file_info* info) {
    return result_of(info != nullptr ? futimens(file_of(info), times)
                                     : utimensat(root(), below(path), times, AT_SYMLINK_NOFOLLOW));
}

int opened(int fd, fuse_file_info* info) {
    if (fd < 0) {
        return -errno;
    }
    info->fh = static_cast<std::uint64_t>(fd);
    apply_open_flags(filesystem().options, *info);
    return 0;
}

int open(const char* path, fuse_file_info* info) {
    return opened(open_below(path, info->flags, 0), info);
}

int create(const char* path, mode_t mode, fuse_file_info* info) {
    return opened(open_below(path, info->flags | O_CREAT, mode), info);
}

int read(const char*, char* to, std::size_t size, off_t offset, fuse_file_info* info) {
    const ssize_t got = pread(file_of(info), to, size, offset);
    return got < 0 ? -errno : static_cast<int>(got);
}

/// Lets the library splice; the operations have it only where that is wanted.
int read_buf(const char*, fuse_bufvec** out, std::size_t size, off_t offset, fuse_file_info* info) {
    auto* data = static_cast<fuse_bufvec*>(std::calloc(1, sizeof(fuse_bufvec)));
    if (data == nullptr) {
        return -ENOMEM;
    }
    data->count = 1;
    data->buf[0].size = size;
    data->buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
    data->buf[0].fd = file_of(info);
    data->buf[0].pos = offset;
    *out = data;
    return 0;
}

int write_buf(const char*, fuse_bufvec* data, off_t offset, fuse_file_info* info) {
    fuse_bufvec below{};
    below.count = 1;
    below.buf[0].size = fuse_buf_size(data);
    below.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
    below.buf[0].fd = file_of(info);
    below.buf[0].pos = offset;
    return static_cast<int>(fuse_buf_copy(&below, data, FUSE_BUF_SPLICE_MOVE));
}

int statfs(const char* path, struct statvfs* out) {
    const int fd = openat(root(), below(path), O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    const int result = result_of(fstatvfs(fd, out));
    close(fd);
    return result;
}

int flush(const char*, fuse_file_info*) {
    return 0;
}

int release(const char*, fuse_file_info* info) {
    close(file_of(info));
    return 0;
}

int fsync(const char*, int data_only, fuse_file_info* info) {
    return result_of(data_only != 0 ? fdatasync(file_of(info)) : ::fsync(file_of(info)));
}

int fallocate(const char*, int mode, off_t offset, off_t length, fuse_file_info* info) {
    return result_of(::fallocate(file_of(info), mode, offset, length));
}

int opendir(const char* path, fuse_file_info* info) {
    const int fd = openat(root(), below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    info->fh = filesystem().directories.add(std::make_unique<DirectoryReader>(fd));
    return 0;
}

int readdir(const char*,
            void* buffer,
            fuse_fill_dir_t fill,
            off_t offset,
            fuse_file_info* info,
            fuse_readdir_flags flags) {
    DirectoryReader& reader = filesystem().directories.at(info->fh);
    reader.seek(offset);
    DirectoryReader::Entry listed{};
    while (reader.peek(listed)) {
        struct stat attributes {};

        attributes.st_ino = listed.number;
        attributes.st_mode = static_cast<mode_t>(DTTOIF(listed.type));
        auto filled = static_cast<fuse_fill_dir_flags>(0);
        if ((flags & FUSE_READDIR_PLUS) != 0 &&
            fstatat(reader.fd(), listed.name, &attributes, AT_SYMLINK_NOFOLLOW) == 0) {
            filled = FUSE_FILL_DIR_PLUS;
        }
        if (fill(buffer, listed.name, &attributes, listed.next, filled) != 0) {
            break;
        }
        reader.advance();
    }
    return -reader.error();
}

int releasedir(const char*, fuse_file_info* info) {
    filesystem().directories.release(info->fh);
    return 0;
}

int fsyncdir(const char*, int data_only, fuse_file_info* info) {
    const int fd = filesystem().directories.at(info->fh).fd();
    return result_of(data_only != 0 ? fdatasync(fd) : ::fsync(fd));
}

fuse_operations operations(const Options& options) {
    fuse_operations ops{};
    ops.init = init;
    ops.getattr = getattr;
    ops.readlink = readlink;
    ops.mknod = mknod;
    ops.mkdir = mkdir;
    ops.unlink = unlink;
    ops.rmdir = rmdir;
    ops.symlink = symlink;
    ops.rename = rename;
    ops.link = link;
    ops.chmod = chmod;
    ops.chown = chown;
    ops.truncate = truncate;
    ops.utimens = utimens;
    ops.open = open;
    ops.create = create;
    ops.read = read;
    if (options.splice_write) {
        ops.read_buf = read_buf;
    }
    ops.write_buf = write_buf;
    ops.statfs = statfs;
    ops.flush = flush;
    ops.release = release;
    ops.fsync = fsync;
    ops.fallocate = fallocate;
    ops.opendir = opendir;
    ops.readdir = readdir;
    ops.releasedir = releasedir;
    ops.fsyncdir = fsyncdir;
    return ops;
}

}  // namespace

int run_stack_by_path(fuse_args& args, const Program& program, const Options& options) {
    StackByPath fs{options, ::open(options.source.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), {}};
    if (fs.root < 0) {
        std::perror(options.source.c_str());
        return 2;
    }
    const fuse_operations ops = operations(options);
    add_mount_options(args, options);
    int status = 2;
    fuse* library = fuse_new(&args, &ops, sizeof ops, &fs);
    if (library != nullptr) {
        status = serve(fuse_get_session(library), program, options);
        fuse_destroy(library);
    }
    close(fs.root);
    return status;
}

}  // namespace fusesim::daemons

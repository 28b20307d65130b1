#include "calls.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>

namespace fusesim::record {

namespace {

using trace::Call;

struct Shape {
    int number;
    Call call;
    call_shape where;
};

constexpr call_shape on_fd(int fd, int offset = -1, int size = -1, int flags = -1) {
    call_shape shape{};
    shape.traced = 1;
    shape.fd = static_cast<__s8>(fd);
    shape.path = shape.directory = shape.path2 = shape.directory2 = -1;
    shape.offset = static_cast<__s8>(offset);
    shape.size = static_cast<__s8>(size);
    shape.flags = static_cast<__s8>(flags);
    return shape;
}

/// Reads or writes at the file's position.
constexpr call_shape at_position(int size) {
    call_shape shape = on_fd(0, -1, size);
    shape.at_position = 1;
    return shape;
}

constexpr call_shape with_vector(call_shape shape) {
    shape.vector = 1;
    return shape;
}

constexpr call_shape on_path(int directory, int path, int flags = -1, int size = -1) {
    call_shape shape = on_fd(-1, -1, size, flags);
    shape.directory = static_cast<__s8>(directory);
    shape.path = static_cast<__s8>(path);
    return shape;
}

constexpr call_shape on_paths(int directory, int path, int directory2, int path2, int flags = -1) {
    call_shape shape = on_path(directory, path, flags);
    shape.directory2 = static_cast<__s8>(directory2);
    shape.path2 = static_cast<__s8>(path2);
    return shape;
}

constexpr call_shape opening(int directory, int path, int flags) {
    call_shape shape = on_path(directory, path, flags);
    shape.opens = 1;
    return shape;
}

constexpr Shape all_shapes[] = {
    {SYS_read, Call::read, at_position(2)},
    {SYS_write, Call::write, at_position(2)},
    {SYS_pread64, Call::read, on_fd(0, 3, 2)},
    {SYS_pwrite64, Call::write, on_fd(0, 3, 2)},
    {SYS_readv, Call::read, with_vector(at_position(2))},
    {SYS_writev, Call::write, with_vector(at_position(2))},
    {SYS_preadv, Call::read, with_vector(on_fd(0, 3, 2))},
    {SYS_pwritev, Call::write, with_vector(on_fd(0, 3, 2))},
    {SYS_preadv2, Call::read, with_vector(on_fd(0, 3, 2, 5))},
    {SYS_pwritev2, Call::write, with_vector(on_fd(0, 3, 2, 5))},
    {SYS_close, Call::close, on_fd(0)},
    {SYS_fstat, Call::fstat, on_fd(0)},
    {SYS_lseek, Call::lseek, on_fd(0, 1, -1, 2)},
    {SYS_mmap, Call::mmap, on_fd(4, 5, 1, 3)},
    {SYS_fsync, Call::fsync, on_fd(0)},
    {SYS_fdatasync, Call::fdatasync, on_fd(0)},
    {SYS_sync_file_range, Call::sync_file_range, on_fd(0, 1, 2, 3)},
    {SYS_syncfs, Call::syncfs, on_fd(0)},
    {SYS_ftruncate, Call::ftruncate, on_fd(0, -1, 1)},
    {SYS_fallocate, Call::fallocate, on_fd(0, 2, 3, 1)},
    {SYS_getdents, Call::readdir, on_fd(0, -1, 2)},
    {SYS_getdents64, Call::readdir, on_fd(0, -1, 2)},
    {SYS_fchmod, Call::chmod, on_fd(0, -1, -1, 1)},
    {SYS_fchown, Call::chown, on_fd(0)},
    {SYS_fstatfs, Call::statfs, on_fd(0)},
    {SYS_fgetxattr, Call::getxattr, on_fd(0, -1, 3)},
    {SYS_fsetxattr, Call::setxattr, on_fd(0, -1, 3, 4)},
    {SYS_flistxattr, Call::listxattr, on_fd(0, -1, 2)},
    {SYS_fremovexattr, Call::removexattr, on_fd(0)},
    {SYS_flock, Call::flock, on_fd(0, -1, -1, 1)},
    {SYS_fadvise64, Call::fadvise, on_fd(0, 1, 2, 3)},
    {SYS_ioctl, Call::ioctl, on_fd(0, -1, -1, 1)},
    {SYS_copy_file_range, Call::copy_file_range, on_fd(0, -1, 4)},
    {SYS_sendfile, Call::sendfile, on_fd(1, -1, 3)},
    {SYS_open, Call::open, opening(-1, 0, 1)},
    {SYS_openat, Call::open, opening(0, 1, 2)},
    {SYS_openat2, Call::open, opening(0, 1, -1)},
    {SYS_creat, Call::create, opening(-1, 0, -1)},
    {SYS_stat, Call::stat, on_path(-1, 0)},
    {SYS_lstat, Call::stat, on_path(-1, 0)},
    {SYS_newfstatat, Call::stat, on_path(0, 1, 3)},
    {SYS_statx, Call::stat, on_path(0, 1, 2)},
    {SYS_access, Call::access, on_path(-1, 0, 1)},
    {SYS_faccessat, Call::access, on_path(0, 1, 2)},
    {SYS_faccessat2, Call::access, on_path(0, 1, 2)},
    {SYS_mkdir, Call::mkdir, on_path(-1, 0, 1)},
    {SYS_mkdirat, Call::mkdir, on_path(0, 1, 2)},
    {SYS_mknod, Call::mknod, on_path(-1, 0, 1)},
    {SYS_mknodat, Call::mknod, on_path(0, 1, 2)},
    {SYS_rmdir, Call::rmdir, on_path(-1, 0)},
    {SYS_unlink, Call::unlink, on_path(-1, 0)},
    {SYS_unlinkat, Call::unlink, on_path(0, 1, 2)},
    {SYS_rename, Call::rename, on_paths(-1, 0, -1, 1)},
    {SYS_renameat, Call::rename, on_paths(0, 1, 2, 3)},
    {SYS_renameat2, Call::rename, on_paths(0, 1, 2, 3, 4)},
    {SYS_link, Call::link, on_paths(-1, 0, -1, 1)},
    {SYS_linkat, Call::link, on_paths(0, 1, 2, 3, 4)},
    {SYS_symlink, Call::symlink, on_path(-1, 1)},
    {SYS_symlinkat, Call::symlink, on_path(1, 2)},
    {SYS_readlink, Call::readlink, on_path(-1, 0, -1, 2)},
    {SYS_readlinkat, Call::readlink, on_path(0, 1, -1, 3)},
    {SYS_truncate, Call::truncate, on_path(-1, 0, -1, 1)},
    {SYS_chmod, Call::chmod, on_path(-1, 0, 1)},
    {SYS_fchmodat, Call::chmod, on_path(0, 1, 2)},
    {SYS_chown, Call::chown, on_path(-1, 0)},
    {SYS_lchown, Call::chown, on_path(-1, 0)},
    {SYS_fchownat, Call::chown, on_path(0, 1)},
    {SYS_utime, Call::utimens, on_path(-1, 0)},
    {SYS_utimes, Call::utimens, on_path(-1, 0)},
    {SYS_utimensat, Call::utimens, on_path(0, 1)},
    {SYS_statfs, Call::statfs, on_path(-1, 0)},
    {SYS_getxattr, Call::getxattr, on_path(-1, 0, -1, 3)},
    {SYS_lgetxattr, Call::getxattr, on_path(-1, 0, -1, 3)},
    {SYS_setxattr, Call::setxattr, on_path(-1, 0, 4, 3)},
    {SYS_lsetxattr, Call::setxattr, on_path(-1, 0, 4, 3)},
    {SYS_listxattr, Call::listxattr, on_path(-1, 0, -1, 2)},
    {SYS_llistxattr, Call::listxattr, on_path(-1, 0, -1, 2)},
    {SYS_removexattr, Call::removexattr, on_path(-1, 0)},
    {SYS_lremovexattr, Call::removexattr, on_path(-1, 0)},
    {SYS_execve, Call::execve, on_path(-1, 0)},
};

const Shape* shape_of(std::uint32_t number) {
    static const std::map<std::uint32_t, const Shape*> by_number = [] {
        std::map<std::uint32_t, const Shape*> map;
        for (const Shape& shape : all_shapes) {
            map.emplace(static_cast<std::uint32_t>(shape.number), &shape);
        }
        return map;
    }();
    const auto at = by_number.find(number);
    return at == by_number.end() ? nullptr : at->second;
}

void append(std::vector<std::string>& parts, const std::string& path) {
    std::size_t begin = 0;
    while (begin <= path.size()) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string part = path.substr(begin, end - begin);
        begin = end + 1;
        if (part == "..") {
            if (!parts.empty()) {
                parts.pop_back();
            } else {
                parts.push_back(part);  // above where the path is known
            }
        } else if (!part.empty() && part != ".") {
            parts.push_back(part);
        }
    }
}

/// The names from `from` on as a path; `//` stands before the one at `start`, unless that is 0.
std::string joined(const std::vector<std::string>& parts, std::size_t from, std::size_t start = 0) {
    std::string path;
    for (std::size_t i = from; i < parts.size(); ++i) {
        path += (i == start && start > from ? "//" : "/") + parts[i];
    }
    if (start > from && start >= parts.size()) {
        return path + "//.";
    }
    return path.empty() ? "/" : path;
}

/// How many names of a directory are left once a path from there has gone up and down again.
std::size_t held(std::size_t depth, const std::string& path) {
    std::vector<std::string> parts(depth);
    std::size_t least = depth;
    std::size_t begin = 0;
    while (begin <= path.size()) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        append(parts, path.substr(begin, end - begin));
        least = std::min(least, parts.size());
        begin = end + 1;
    }
    return least;
}

/// The directory whose names were told, the last name first.
std::string directory_of(const call_paths& paths, unsigned which, unsigned depth) {
    std::string path;
    for (unsigned i = std::min<unsigned>(depth, PATH_DEPTH); i > 0; --i) {
        const char* name = paths.names[which][i - 1];
        path += "/" + std::string(name, strnlen(name, PATH_NAME));
    }
    return path.empty() ? "/" : path;
}

std::string name_of(const call_event& event,
                    const call_paths& paths,
                    unsigned which,
                    const std::string& mount_point) {
    const std::string path(paths.path[which], strnlen(paths.path[which], PATH_STRING));
    if (which == 0 && paths.own != 0) {
        // Its own path, free of links; of that, as many names as were given have been walked.
        std::vector<std::string> parts;
        append(parts, directory_of(paths, which, paths.inside[which]));
        std::vector<std::string> walked;
        append(walked, path);
        const bool known = !path.empty() && path.front() != '/' && walked.size() <= parts.size() &&
                           (walked.empty() || walked.front() != "..");
        return joined(parts, 0, known ? parts.size() - walked.size() : 0);
    }
    const bool inside = (event.found & PERHAPS_ON_MOUNT) == 0;
    const unsigned depth = inside ? paths.inside[which] : paths.depth[which];
    return path_in_mount(path, directory_of(paths, which, depth), inside, mount_point);
}

}  // namespace

void fill_shapes(call_shape (&shapes)[MAX_CALLS]) {
    for (const Shape& shape : all_shapes) {
        shapes[shape.number] = shape.where;
    }
}

trace::Call call_of(std::uint32_t number, std::uint32_t flags) {
    const Shape* shape = shape_of(number);
    if (shape == nullptr) {
        return Call::other;
    }
    if (shape->call == Call::open && (flags & O_CREAT) != 0) {
        return Call::create;
    }
    if (number == SYS_unlinkat && (flags & AT_REMOVEDIR) != 0) {
        return Call::rmdir;
    }
    if ((number == SYS_newfstatat || number == SYS_statx) && (flags & AT_EMPTY_PATH) != 0) {
        return Call::fstat;
    }
    return shape->call;
}

std::string path_in_mount(const std::string& path,
                          const std::string& start,
                          bool start_in_mount,
                          const std::string& mount_point) {
    std::vector<std::string> parts;
    const bool absolute = !path.empty() && path.front() == '/';
    if (!absolute) {
        append(parts, start);
    }
    append(parts, path);
    if (!absolute && start_in_mount) {
        std::vector<std::string> directory;
        append(directory, start);
        return !parts.empty() && parts.front() == ".."
                   ? ""
                   : joined(parts, 0, held(directory.size(), path));
    }
    std::vector<std::string> point;
    append(point, mount_point);
    if (parts.size() < point.size() || !std::equal(point.begin(), point.end(), parts.begin())) {
        return "";
    }
    return joined(parts, point.size());
}

CallCollector::CallCollector(Sink sink, std::string mount_point, std::size_t limit)
    : sink_(std::move(sink)), mount_point_(std::move(mount_point)), limit_(limit) {}

void CallCollector::handle(const event& told) {
    if (told.kind != EVENT_CALL) {
        return;
    }
    const auto& event = reinterpret_cast<const call_event&>(told);
    trace::Record record;
    const Call call = call_of(event.number, event.flags);
    record.opcode = static_cast<std::uint32_t>(call);
    if (event.has_paths != 0) {
        const auto& paths = *reinterpret_cast<const call_paths*>(&event + 1);
        record.name = name_of(event, paths, 0, mount_point_);
        const bool two = paths.path[1][0] != '\0';
        if (two) {
            record.name2 = name_of(event, paths, 1, mount_point_);
        }
        if (record.name.empty() && record.name2.empty()) {
            return;  // a like name elsewhere
        }
        counts_.cut_names += paths.cut;
    }
    record.error = event.result < 0 ? static_cast<std::int32_t>(event.result) : 0;
    record.nodeid = event.inode;
    record.fh = event.fd >= 0 ? static_cast<std::uint64_t>(event.fd) : 0;
    record.offset = event.offset;
    record.size = event.size;
    record.flags = event.flags;
    const auto moved = static_cast<std::uint32_t>(std::max<std::int64_t>(event.result, 0));
    if (call == Call::write) {
        record.bytes_in = moved;
    } else if (call == Call::read || call == Call::readdir) {
        record.bytes_out = moved;
    }
    record.pid = event.e.tgid;
    record.caller = event.e.tid;
    record.caller_cpu = static_cast<std::int16_t>(event.e.cpu);
    record.queued = static_cast<std::int64_t>(event.entered);
    record.ended = static_cast<std::int64_t>(event.e.time);
    if (event.think_cpu != UNKNOWN_DEMAND) {
        record.think_cpu = static_cast<std::int64_t>(event.think_cpu);
        record.think_blocked = static_cast<std::int64_t>(event.think_blocked);
    }
    ++ended_;
    waiting_.push(std::move(record));
}

void CallCollector::write_oldest() {
    trace::Record record = waiting_.top();
    waiting_.pop();
    if (base_ == trace::unknown_time) {
        base_ = record.queued;
    }
    if (record.queued < newest_written_) {
        ++counts_.late;
        record.queued = trace::unknown_time;
    } else {
        newest_written_ = record.queued;
        record.queued -= base_;
    }
    record.ended = std::max<std::int64_t>(record.ended - base_, 0);
    record.unique = ++counts_.written;
    sink_(record);
}

void CallCollector::flush(std::int64_t now) {
    while (!waiting_.empty() &&
           (waiting_.size() > limit_ || now - waiting_.top().queued > patience)) {
        write_oldest();
    }
}

void CallCollector::finish() {
    while (!waiting_.empty()) {
        write_oldest();
    }
}

}  // namespace fusesim::record

#include "trace/strace_calls.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace fusesim::trace::strace {

namespace {

constexpr Shape on_fd(std::string_view name,
                      Call call,
                      signed char fd,
                      signed char offset = -1,
                      signed char size = -1,
                      signed char flags = -1) {
    return {name, call, fd, -1, -1, -1, -1, offset, size, flags};
}

constexpr Shape moving(std::string_view name, Call call, signed char size) {
    return {name, call, 0, -1, -1, -1, -1, -1, size, -1, true};
}

constexpr Shape on_path(std::string_view name,
                        Call call,
                        signed char directory,
                        signed char path,
                        signed char flags = -1,
                        signed char size = -1) {
    return {name, call, -1, directory, path, -1, -1, -1, size, flags};
}

constexpr Shape on_paths(std::string_view name,
                         Call call,
                         signed char directory,
                         signed char path,
                         signed char directory2,
                         signed char path2,
                         signed char flags = -1) {
    return {name, call, -1, directory, path, directory2, path2, -1, -1, flags};
}

constexpr Shape shapes[] = {
    moving("read", Call::read, 2),
    moving("write", Call::write, 2),
    moving("readv", Call::read, 1),
    moving("writev", Call::write, 1),
    on_fd("pread64", Call::read, 0, 3, 2),
    on_fd("pwrite64", Call::write, 0, 3, 2),
    on_fd("preadv", Call::read, 0, 3, 1),
    on_fd("pwritev", Call::write, 0, 3, 1),
    on_fd("preadv2", Call::read, 0, 3, 1, 4),
    on_fd("pwritev2", Call::write, 0, 3, 1, 4),
    on_fd("close", Call::close, 0),
    on_fd("fstat", Call::fstat, 0),
    on_fd("lseek", Call::lseek, 0, 1, -1, 2),
    on_fd("mmap", Call::mmap, 4, 5, 1, 3),
    on_fd("fsync", Call::fsync, 0),
    on_fd("fdatasync", Call::fdatasync, 0),
    on_fd("sync_file_range", Call::sync_file_range, 0, 1, 2, 3),
    on_fd("syncfs", Call::syncfs, 0),
    on_fd("ftruncate", Call::ftruncate, 0, -1, 1),
    on_fd("fallocate", Call::fallocate, 0, 2, 3, 1),
    on_fd("getdents", Call::readdir, 0, -1, 2),
    on_fd("getdents64", Call::readdir, 0, -1, 2),
    on_fd("fchmod", Call::chmod, 0, -1, -1, 1),
    on_fd("fchown", Call::chown, 0),
    on_fd("fstatfs", Call::statfs, 0),
    on_fd("fgetxattr", Call::getxattr, 0, -1, 3),
    on_fd("fsetxattr", Call::setxattr, 0, -1, 3, 4),
    on_fd("flistxattr", Call::listxattr, 0, -1, 2),
    on_fd("fremovexattr", Call::removexattr, 0),
    on_fd("flock", Call::flock, 0, -1, -1, 1),
    on_fd("fadvise64", Call::fadvise, 0, 1, 2, 3),
    on_fd("ioctl", Call::ioctl, 0),
    on_fd("fcntl", Call::lock, 0),
    on_fd("copy_file_range", Call::copy_file_range, 0, 1, 4),
    on_fd("sendfile", Call::sendfile, 1, 2, 3),
    on_path("open", Call::open, -1, 0, 1),
    on_path("openat", Call::open, 0, 1, 2),
    on_path("openat2", Call::open, 0, 1, 2),
    on_path("creat", Call::create, -1, 0),
    on_path("stat", Call::stat, -1, 0),
    on_path("lstat", Call::stat, -1, 0),
    on_path("newfstatat", Call::stat, 0, 1, 3),
    on_path("statx", Call::stat, 0, 1, 2),
    on_path("access", Call::access, -1, 0, 1),
    on_path("faccessat", Call::access, 0, 1, 2),
    on_path("faccessat2", Call::access, 0, 1, 2),
    on_path("mkdir", Call::mkdir, -1, 0, 1),
    on_path("mkdirat", Call::mkdir, 0, 1, 2),
    on_path("mknod", Call::mknod, -1, 0, 1),
    on_path("mknodat", Call::mknod, 0, 1, 2),
    on_path("rmdir", Call::rmdir, -1, 0),
    on_path("unlink", Call::unlink, -1, 0),
    on_path("unlinkat", Call::unlink, 0, 1, 2),
    on_paths("rename", Call::rename, -1, 0, -1, 1),
    on_paths("renameat", Call::rename, 0, 1, 2, 3),
    on_paths("renameat2", Call::rename, 0, 1, 2, 3, 4),
    on_paths("link", Call::link, -1, 0, -1, 1),
    on_paths("linkat", Call::link, 0, 1, 2, 3, 4),
    on_path("symlink", Call::symlink, -1, 1),
    on_path("symlinkat", Call::symlink, 1, 2),
    on_path("readlink", Call::readlink, -1, 0, -1, 2),
    on_path("readlinkat", Call::readlink, 0, 1, -1, 3),
    on_path("truncate", Call::truncate, -1, 0, -1, 1),
    on_path("chmod", Call::chmod, -1, 0, 1),
    on_path("fchmodat", Call::chmod, 0, 1, 2),
    on_path("chown", Call::chown, -1, 0),
    on_path("lchown", Call::chown, -1, 0),
    on_path("fchownat", Call::chown, 0, 1),
    on_path("utime", Call::utimens, -1, 0),
    on_path("utimes", Call::utimens, -1, 0),
    on_path("futimesat", Call::utimens, 0, 1),
    on_path("utimensat", Call::utimens, 0, 1),
    on_path("statfs", Call::statfs, -1, 0),
    on_path("getxattr", Call::getxattr, -1, 0, -1, 3),
    on_path("lgetxattr", Call::getxattr, -1, 0, -1, 3),
    on_path("setxattr", Call::setxattr, -1, 0, 4, 3),
    on_path("lsetxattr", Call::setxattr, -1, 0, 4, 3),
    on_path("listxattr", Call::listxattr, -1, 0, -1, 2),
    on_path("llistxattr", Call::listxattr, -1, 0, -1, 2),
    on_path("removexattr", Call::removexattr, -1, 0),
    on_path("lremovexattr", Call::removexattr, -1, 0),
    on_path("execve", Call::execve, -1, 0),
};

}  // namespace

const Shape* shape_of(std::string_view name) {
    static const std::map<std::string_view, const Shape*> by_name = [] {
        std::map<std::string_view, const Shape*> map;
        for (const Shape& shape : shapes) {
            map.emplace(shape.name, &shape);
        }
        return map;
    }();
    const auto at = by_name.find(name);
    return at == by_name.end() ? nullptr : at->second;
}

bool makes_no_file(std::string_view name) {
    constexpr std::string_view names[] = {"socket",
                                          "accept",
                                          "accept4",
                                          "epoll_create",
                                          "epoll_create1",
                                          "eventfd",
                                          "eventfd2",
                                          "inotify_init",
                                          "inotify_init1",
                                          "memfd_create",
                                          "perf_event_open",
                                          "pidfd_open",
                                          "signalfd",
                                          "signalfd4",
                                          "timerfd_create",
                                          "userfaultfd"};
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is_clone(std::string_view name) {
    return name == "clone" || name == "clone3" || name == "fork" || name == "vfork";
}

}  // namespace fusesim::trace::strace

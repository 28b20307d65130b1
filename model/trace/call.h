#pragma once

#include <cstdint>
#include <limits>

namespace fusesim::trace {

/// What an application asked for, in a trace of layer syscall. Variants of one call (read, pread64,
/// readv; stat, newfstatat, statx) are one entry, since they make the same requests. The numbers
/// stand in binary traces: never reuse one.
enum class Call : std::uint32_t {
    other = 0,
    open = 1,
    create = 2,  ///< open with O_CREAT
    close = 3,
    read = 4,
    write = 5,
    stat = 6,   ///< by path
    fstat = 7,  ///< by descriptor
    readdir = 8,
    mkdir = 9,
    rmdir = 10,
    unlink = 11,
    rename = 12,
    link = 13,
    symlink = 14,
    readlink = 15,
    mknod = 16,
    truncate = 17,
    ftruncate = 18,
    chmod = 19,
    chown = 20,
    utimens = 21,
    access = 22,
    statfs = 23,
    fsync = 24,
    fdatasync = 25,
    sync_file_range = 26,
    fallocate = 27,
    lseek = 28,
    mmap = 29,
    msync = 30,
    munmap = 31,
    getxattr = 32,
    setxattr = 33,
    listxattr = 34,
    removexattr = 35,
    flock = 36,
    lock = 37,  ///< fcntl record locks
    copy_file_range = 38,
    sendfile = 39,
    splice = 40,
    fadvise = 41,
    ioctl = 42,
    poll = 43,
    execve = 44,
    syncfs = 45,
};

/// Record::offset of a call that works at the file position, where the tracer did not follow it.
inline constexpr std::uint64_t at_position = std::numeric_limits<std::uint64_t>::max();

}  // namespace fusesim::trace

#include "null_server.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <memory>

namespace fusesim::daemons {

namespace {

template <typename T>
const T& operation(const NullServer::Exchange& exchange) {
    return *static_cast<const T*>(exchange.operation);
}

/// Makes `reply` the exchange's reply, after what it holds already if `at` is given.
template <typename T>
void put(NullServer::Exchange& exchange, const T& reply, std::size_t at = 0) {
    std::memcpy(exchange.payload + at, &reply, sizeof reply);
    exchange.size = at + sizeof reply;
    exchange.not_zero = std::max(exchange.not_zero, exchange.size);
}

std::uint64_t whole_seconds(double seconds) {
    return static_cast<std::uint64_t>(seconds);
}

std::uint32_t nanoseconds(double seconds) {
    return static_cast<std::uint32_t>((seconds - std::floor(seconds)) * 1e9);
}

fuse_attr attr_of(const struct stat& from) {
    fuse_attr out{};
    out.ino = from.st_ino;
    out.size = static_cast<std::uint64_t>(from.st_size);
    out.blocks = static_cast<std::uint64_t>(from.st_blocks);
    out.mode = from.st_mode;
    out.nlink = static_cast<std::uint32_t>(from.st_nlink);
    out.blksize = static_cast<std::uint32_t>(from.st_blksize);
    out.atime = static_cast<std::uint64_t>(from.st_atim.tv_sec);
    out.mtime = static_cast<std::uint64_t>(from.st_mtim.tv_sec);
    out.ctime = static_cast<std::uint64_t>(from.st_ctim.tv_sec);
    out.atimensec = static_cast<std::uint32_t>(from.st_atim.tv_nsec);
    out.mtimensec = static_cast<std::uint32_t>(from.st_mtim.tv_nsec);
    out.ctimensec = static_cast<std::uint32_t>(from.st_ctim.tv_nsec);
    return out;
}

fuse_entry_out entry_of(const fuse_entry_param& from) {
    fuse_entry_out out{};
    out.nodeid = from.ino;
    out.generation = from.generation;
    out.entry_valid = whole_seconds(from.entry_timeout);
    out.entry_valid_nsec = nanoseconds(from.entry_timeout);
    out.attr_valid = whole_seconds(from.attr_timeout);
    out.attr_valid_nsec = nanoseconds(from.attr_timeout);
    out.attr = attr_of(from.attr);
    return out;
}

fuse_open_out opened(const Options& options) {
    fuse_open_out out{};
    out.open_flags = (options.direct_io ? FOPEN_DIRECT_IO : 0u) |
                     (options.keep_cache ? FOPEN_KEEP_CACHE : 0u) |
                     (options.no_flush ? FOPEN_NOFLUSH : 0u);
    return out;
}

}  // namespace

int NullServer::lookup(Exchange& exchange) {
    fuse_entry_param entry = tree_.lookup(exchange.header.nodeid, exchange.payload);
    if (entry.ino == 0) {
        if (tree_.options().negative_timeout <= 0) {
            return -ENOENT;
        }
        entry.entry_timeout = tree_.options().negative_timeout;
    }
    put(exchange, entry_of(entry));
    return 0;
}

void NullServer::reply_attributes(Exchange& exchange, const struct stat& attributes) const {
    fuse_attr_out out{};
    out.attr_valid = whole_seconds(tree_.options().attr_timeout);
    out.attr_valid_nsec = nanoseconds(tree_.options().attr_timeout);
    out.attr = attr_of(attributes);
    put(exchange, out);
}

int NullServer::setattr(Exchange& exchange) {
    const auto& in = operation<fuse_setattr_in>(exchange);

    struct stat wanted {};

    wanted.st_mode = in.mode;
    wanted.st_size = static_cast<off_t>(in.size);
    const int which = static_cast<int>(in.valid & (FATTR_MODE | FATTR_SIZE));
    static_assert(FATTR_MODE == FUSE_SET_ATTR_MODE && FATTR_SIZE == FUSE_SET_ATTR_SIZE);
    reply_attributes(exchange, tree_.setattr(exchange.header.nodeid, wanted, which));
    return 0;
}

int NullServer::make(Exchange& exchange, mode_t mode, const char* name) {
    const fuse_entry_param entry = tree_.make(exchange.header.nodeid, name, mode);
    if (entry.ino == 0) {
        return -EEXIST;
    }
    put(exchange, entry_of(entry));
    return 0;
}

int NullServer::create(Exchange& exchange) {
    const mode_t mode = S_IFREG | (operation<fuse_create_in>(exchange).mode & 07777);
    const int error = make(exchange, mode, exchange.payload);
    if (error == 0) {
        put(exchange, opened(tree_.options()), sizeof(fuse_entry_out));
    }
    return error;
}

int NullServer::open(Exchange& exchange) {
    put(exchange, opened(tree_.options()));
    return 0;
}

int NullServer::read(Exchange& exchange) {
    const auto& in = operation<fuse_read_in>(exchange);
    const std::size_t size = std::min<std::size_t>(
        tree_.readable(exchange.header.nodeid, in.size, static_cast<off_t>(in.offset)),
        exchange.room);
    // Only what was used since the last read needs to be made zero again.
    std::memset(exchange.payload, 0, std::min(size, exchange.not_zero));
    if (size >= exchange.not_zero) {
        exchange.not_zero = 0;
    }
    exchange.size = size;
    return 0;
}

int NullServer::write(Exchange& exchange) {
    const auto& in = operation<fuse_write_in>(exchange);
    tree_.grow(exchange.header.nodeid, static_cast<off_t>(in.offset + in.size));
    fuse_write_out out{};
    out.size = in.size;
    put(exchange, out);
    return 0;
}

int NullServer::rename(Exchange& exchange, std::uint64_t to, unsigned flags) {
    const char* from_name = exchange.payload;
    const char* to_name = from_name + std::strlen(from_name) + 1;
    return -tree_.rename(exchange.header.nodeid, from_name, to, to_name, flags);
}

int NullServer::open_directory(Exchange& exchange) {
    fuse_open_out out{};
    out.fh = tree_.open_directory(exchange.header.nodeid);
    put(exchange, out);
    return 0;
}

int NullServer::list(Exchange& exchange, bool plus) {
    const auto& in = operation<fuse_read_in>(exchange);
    exchange.size = tree_.list(exchange.header.nodeid,
                               in.fh,
                               static_cast<off_t>(in.offset),
                               plus,
                               exchange.payload,
                               std::min<std::size_t>(in.size, exchange.room));
    exchange.not_zero = std::max(exchange.not_zero, exchange.size);
    return 0;
}

int NullServer::statfs(Exchange& exchange) {
    const struct statvfs space = NullTree::space();
    fuse_statfs_out out{};
    out.st.blocks = space.f_blocks;
    out.st.bfree = space.f_bfree;
    out.st.bavail = space.f_bavail;
    out.st.files = space.f_files;
    out.st.ffree = space.f_ffree;
    out.st.bsize = static_cast<std::uint32_t>(space.f_bsize);
    out.st.frsize = static_cast<std::uint32_t>(space.f_frsize);
    out.st.namelen = static_cast<std::uint32_t>(space.f_namemax);
    put(exchange, out);
    return 0;
}

int NullServer::answer(Exchange& exchange) {
    exchange.not_zero = std::max(exchange.not_zero, exchange.size);
    exchange.size = 0;
    const std::uint64_t nodeid = exchange.header.nodeid;
    switch (exchange.header.opcode) {
        case FUSE_LOOKUP:
            return lookup(exchange);
        case FUSE_GETATTR:
            reply_attributes(exchange, tree_.getattr(nodeid));
            return 0;
        case FUSE_SETATTR:
            return setattr(exchange);
        case FUSE_MKNOD: {
            const mode_t mode = operation<fuse_mknod_in>(exchange).mode;
            return S_ISREG(mode) ? make(exchange, mode, exchange.payload) : -EPERM;
        }
        case FUSE_MKDIR: {
            const mode_t mode = S_IFDIR | (operation<fuse_mkdir_in>(exchange).mode & 07777);
            return make(exchange, mode, exchange.payload);
        }
        case FUSE_CREATE:
            return create(exchange);
        case FUSE_UNLINK:
            return -tree_.remove(nodeid, exchange.payload, false);
        case FUSE_RMDIR:
            return -tree_.remove(nodeid, exchange.payload, true);
        case FUSE_RENAME:
            return rename(exchange, operation<fuse_rename_in>(exchange).newdir, 0);
        case FUSE_RENAME2: {
            const auto& in = operation<fuse_rename2_in>(exchange);
            return rename(exchange, in.newdir, in.flags);
        }
        case FUSE_OPEN:
            return open(exchange);
        case FUSE_READ:
            return read(exchange);
        case FUSE_WRITE:
            return write(exchange);
        case FUSE_OPENDIR:
            return open_directory(exchange);
        case FUSE_READDIR:
            return list(exchange, false);
        case FUSE_READDIRPLUS:
            return list(exchange, true);
        case FUSE_RELEASEDIR:
            tree_.release_directory(operation<fuse_release_in>(exchange).fh);
            return 0;
        case FUSE_STATFS:
            return statfs(exchange);
        case FUSE_FLUSH:
        case FUSE_RELEASE:
        case FUSE_FSYNC:
        case FUSE_FSYNCDIR:
            return 0;
        default:
            return -ENOSYS;
    }
}

}  // namespace fusesim::daemons

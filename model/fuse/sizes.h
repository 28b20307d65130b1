#pragma once

#include "fuse/opcode.h"

#include <cstdint>

namespace fusesim::fuse {

// Sizes in bytes of uapi/linux/fuse.h, 64-bit.
inline constexpr std::uint32_t in_header_bytes = 40;
inline constexpr std::uint32_t out_header_bytes = 16;
inline constexpr std::uint32_t forget_one_bytes = 16;
inline constexpr std::uint32_t removemapping_one_bytes = 16;
inline constexpr std::uint32_t interrupt_bytes = in_header_bytes + 8;
inline constexpr std::uint32_t min_read_buffer_bytes = 8192;
inline constexpr std::uint32_t kernel_page_bytes = 4096;

/// Pages that so many bytes fill, the last one perhaps in part.
constexpr std::uint64_t pages_of(std::uint64_t bytes) {
    return (bytes + kernel_page_bytes - 1) / kernel_page_bytes;
}

// FUSE over io_uring (protocol 7.42).
inline constexpr std::uint32_t uring_req_header_bytes = 288;
inline constexpr std::uint32_t uring_in_out_bytes = 128;
inline constexpr std::uint32_t uring_op_in_bytes = 128;
inline constexpr std::uint32_t uring_ent_in_out_bytes = 32;
inline constexpr std::uint32_t uring_cmd_req_bytes = 24;

/// The variable part of a request.
struct RequestShape {
    std::uint32_t name = 0;        ///< strlen of the first name
    std::uint32_t name2 = 0;       ///< strlen of the second name, or of SYMLINK's target
    std::uint32_t data = 0;        ///< WRITE data, xattr value, ioctl input, NOTIFY_REPLY data
    std::uint32_t entries = 0;     ///< of BATCH_FORGET and REMOVEMAPPING
    std::uint32_t extensions = 0;  ///< bytes of security context and groups, a multiple of 8
    bool setxattr_ext = false;     ///< SETXATTR_EXT was negotiated
};

/// The variable part of a reply.
struct ReplyShape {
    std::uint32_t data = 0;   ///< READ data, directory entries, link target, xattr, ioctl output
    bool error = false;       ///< an error: nothing but the header
    bool size_query = false;  ///< GETXATTR and LISTXATTR with size 0: only the size comes back
};

/// Length of a whole request. `minor` is the negotiated protocol 7.minor; for INIT and CUSE_INIT
/// it is the kernel's own, since nothing is negotiated yet.
std::uint32_t request_bytes(Opcode opcode, unsigned minor, const RequestShape& shape = {});

/// Length of a whole reply; 0 where there is none. For INIT, `minor` is the one the server
/// answers with, since old servers send a shorter reply.
std::uint32_t reply_bytes(Opcode opcode, unsigned minor, const ReplyShape& shape = {});

/// One READDIR entry in the reply.
constexpr std::uint32_t dirent_bytes(std::uint32_t name) {
    return (24 + name + 7) & ~7U;
}

/// One READDIRPLUS entry in the reply.
constexpr std::uint32_t direntplus_bytes(std::uint32_t name) {
    return (152 + name + 7) & ~7U;
}

/// Entries with names of that length that fit in a reply buffer.
constexpr std::uint32_t entries_that_fit(std::uint32_t buffer, std::uint32_t name, bool plus) {
    return buffer / (plus ? direntplus_bytes(name) : dirent_bytes(name));
}

/// Forgets that fit in one BATCH_FORGET read into a buffer.
constexpr std::uint32_t forgets_that_fit(std::uint32_t buffer) {
    return (buffer - in_header_bytes - 8) / forget_one_bytes;
}

/// The security context extension of CREATE, MKDIR, MKNOD, SYMLINK (7.36).
constexpr std::uint32_t security_context_bytes(std::uint32_t name, std::uint32_t context) {
    return 8 + ((8 + name + 1 + context + 7) & ~7U);
}

/// The supplementary group extension (7.38).
inline constexpr std::uint32_t supplementary_groups_bytes = 16;

/// Writes of the daemon that answer nothing; the numbers are the protocol's.
enum class Notification : std::int32_t {
    poll = 1,
    inval_inode = 2,
    inval_entry = 3,
    store = 4,
    retrieve = 5,
    remove = 6,  ///< FUSE_NOTIFY_DELETE
    resend = 7,
    inc_epoch = 8,
    prune = 9,
};

/// The variable part of a notification.
struct NotificationShape {
    std::uint32_t name = 0;   ///< strlen
    std::uint32_t data = 0;   ///< bytes stored
    std::uint32_t nodes = 0;  ///< node ids to prune
};

std::uint32_t notification_bytes(Notification code, const NotificationShape& shape = {});

}  // namespace fusesim::fuse

#pragma once

#include <cstdint>

namespace fusesim::daemons::ring {

// FUSE over io_uring as in include/uapi/linux/fuse.h of Linux 6.14 (protocol 7.42), which
// Debian 12's headers do not have yet.

constexpr std::uint32_t init_flags_extended = 1u << 30;  // FUSE_INIT_EXT: flags2 counts
constexpr std::uint32_t init_over_io_uring = 1u << 9;    // FUSE_OVER_IO_URING, bit 41, in flags2

constexpr std::uint32_t command_register = 1;          // FUSE_IO_URING_CMD_REGISTER
constexpr std::uint32_t command_commit_and_fetch = 2;  // FUSE_IO_URING_CMD_COMMIT_AND_FETCH

/// struct fuse_uring_ent_in_out: what the two sides say about one entry.
struct EntryInOut {
    std::uint64_t flags;
    std::uint64_t commit_id;
    std::uint32_t payload_size;
    std::uint32_t padding;
    std::uint64_t reserved;
};

/// struct fuse_uring_req_header: the first of the two memory areas of an entry. The other is the
/// payload: all of a request beyond its header and first structure, and all of a reply beyond its
/// header.
struct Header {
    char in_out[128];  ///< fuse_in_header, then fuse_out_header in its place
    char operation[128];
    EntryInOut entry;
};

/// struct fuse_uring_cmd_req: what lies in the command area of a submission.
struct Command {
    std::uint64_t flags;
    std::uint64_t commit_id;
    std::uint16_t queue;
    std::uint8_t padding[6];
};

static_assert(sizeof(EntryInOut) == 32 && sizeof(Header) == 288 && sizeof(Command) == 24);

}  // namespace fusesim::daemons::ring

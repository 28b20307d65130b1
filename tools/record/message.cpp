#include "message.h"

#include <linux/fuse.h>

#include <cstring>
#include <string>

namespace fusesim::record {

namespace {

// Newer than the header of older distributions.
constexpr std::uint32_t opcode_statx = 52;
constexpr std::uint32_t opcode_copy_file_range_64 = 53;

/// The arguments behind fuse_in_header; what lies beyond the kept bytes reads as zero or "".
class Arguments {
  public:
    explicit Arguments(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <typename Struct>
    Struct as() const {
        Struct value{};
        std::memcpy(&value, bytes_.data(), std::min(sizeof value, bytes_.size()));
        return value;
    }

    /// The string at `at`; moves `at` behind its terminating zero.
    std::string text(std::size_t& at) const {
        const std::size_t begin = std::min(at, bytes_.size());
        const auto* first = reinterpret_cast<const char*>(bytes_.data()) + begin;
        const std::size_t length = strnlen(first, bytes_.size() - begin);
        at = begin + length + 1;
        return {first, length};
    }

    unsigned char byte(std::size_t at) const {
        return at < bytes_.size() ? std::to_integer<unsigned char>(bytes_[at]) : 0;
    }

  private:
    std::span<const std::byte> bytes_;
};

void names(const Arguments& arguments, std::size_t at, trace::Record& record, bool two = false) {
    record.name = arguments.text(at);
    if (two) {
        record.name2 = arguments.text(at);
    }
}

void data_operation(const Arguments& arguments, trace::Record& record) {
    switch (record.opcode) {
        case FUSE_READ:
        case FUSE_READDIR:
        case FUSE_READDIRPLUS: {
            const auto in = arguments.as<fuse_read_in>();
            record.fh = in.fh;
            record.offset = in.offset;
            record.size = in.size;
            record.flags = in.flags;
            break;
        }
        case FUSE_WRITE: {
            const auto in = arguments.as<fuse_write_in>();
            record.fh = in.fh;
            record.offset = in.offset;
            record.size = in.size;
            record.flags = in.flags;
            break;
        }
        case FUSE_FALLOCATE: {
            const auto in = arguments.as<fuse_fallocate_in>();
            record.fh = in.fh;
            record.offset = in.offset;
            record.size = in.length;
            record.flags = in.mode;
            break;
        }
        case FUSE_LSEEK: {
            const auto in = arguments.as<fuse_lseek_in>();
            record.fh = in.fh;
            record.offset = in.offset;
            record.flags = in.whence;
            break;
        }
        case FUSE_COPY_FILE_RANGE:
        case opcode_copy_file_range_64: {
            const auto in = arguments.as<fuse_copy_file_range_in>();
            record.fh = in.fh_in;
            record.offset = in.off_in;
            record.size = in.len;
            break;
        }
        case FUSE_BMAP: {
            const auto in = arguments.as<fuse_bmap_in>();
            record.offset = in.block;
            record.size = in.blocksize;
            break;
        }
        default:
            break;
    }
}

void file_operation(const Arguments& arguments, trace::Record& record) {
    switch (record.opcode) {
        case FUSE_OPEN:
        case FUSE_OPENDIR:
            record.flags = arguments.as<fuse_open_in>().flags;
            break;
        case FUSE_RELEASE:
        case FUSE_RELEASEDIR: {
            const auto in = arguments.as<fuse_release_in>();
            record.fh = in.fh;
            record.flags = in.flags;
            break;
        }
        case FUSE_FLUSH:
            record.fh = arguments.as<fuse_flush_in>().fh;
            break;
        case FUSE_FSYNC:
        case FUSE_FSYNCDIR: {
            const auto in = arguments.as<fuse_fsync_in>();
            record.fh = in.fh;
            record.flags = in.fsync_flags;
            break;
        }
        case FUSE_GETLK:
        case FUSE_SETLK:
        case FUSE_SETLKW: {
            const auto in = arguments.as<fuse_lk_in>();
            record.fh = in.fh;
            record.flags = in.lk.type;
            break;
        }
        case FUSE_IOCTL: {
            const auto in = arguments.as<fuse_ioctl_in>();
            record.fh = in.fh;
            record.flags = in.cmd;
            record.size = in.in_size;
            break;
        }
        case FUSE_POLL: {
            const auto in = arguments.as<fuse_poll_in>();
            record.fh = in.fh;
            record.flags = in.events;
            break;
        }
        default:
            break;
    }
}

void attribute_operation(const Arguments& arguments, trace::Record& record) {
    switch (record.opcode) {
        case FUSE_GETATTR:
        case opcode_statx: {  // both begin with flags and the file handle
            const auto in = arguments.as<fuse_getattr_in>();
            record.flags = in.getattr_flags;
            record.fh = in.fh;
            break;
        }
        case FUSE_SETATTR: {
            const auto in = arguments.as<fuse_setattr_in>();
            record.flags = in.valid;
            record.fh = in.fh;
            record.size = in.size;
            break;
        }
        case FUSE_ACCESS:
            record.flags = arguments.as<fuse_access_in>().mask;
            break;
        case FUSE_SETXATTR: {
            const auto in = arguments.as<fuse_setxattr_in>();
            record.size = in.size;
            record.flags = in.flags;
            // Eight more bytes if FUSE_SETXATTR_EXT was agreed upon; they hold no printable
            // character.
            const bool extended = arguments.byte(FUSE_COMPAT_SETXATTR_IN_SIZE) < ' ';
            names(arguments, extended ? sizeof in : FUSE_COMPAT_SETXATTR_IN_SIZE, record);
            break;
        }
        case FUSE_GETXATTR:
            record.size = arguments.as<fuse_getxattr_in>().size;
            names(arguments, sizeof(fuse_getxattr_in), record);
            break;
        case FUSE_LISTXATTR:
            record.size = arguments.as<fuse_getxattr_in>().size;
            break;
        case FUSE_REMOVEXATTR:
            names(arguments, 0, record);
            break;
        default:
            break;
    }
}

void directory_operation(const Arguments& arguments, trace::Record& record) {
    switch (record.opcode) {
        case FUSE_LOOKUP:
        case FUSE_UNLINK:
        case FUSE_RMDIR:
            names(arguments, 0, record);
            break;
        case FUSE_SYMLINK:
            names(arguments, 0, record, true);
            break;
        case FUSE_MKNOD:
            record.flags = arguments.as<fuse_mknod_in>().mode;
            names(arguments, sizeof(fuse_mknod_in), record);
            break;
        case FUSE_MKDIR:
            record.flags = arguments.as<fuse_mkdir_in>().mode;
            names(arguments, sizeof(fuse_mkdir_in), record);
            break;
        case FUSE_RENAME:
            names(arguments, sizeof(fuse_rename_in), record, true);
            break;
        case FUSE_RENAME2:
            record.flags = arguments.as<fuse_rename2_in>().flags;
            names(arguments, sizeof(fuse_rename2_in), record, true);
            break;
        case FUSE_LINK:
            names(arguments, sizeof(fuse_link_in), record);
            break;
        case FUSE_CREATE:
        case FUSE_TMPFILE:
            record.flags = arguments.as<fuse_create_in>().flags;
            names(arguments, sizeof(fuse_create_in), record);
            break;
        default:
            break;
    }
}

void message_without_reply(const Arguments& arguments, trace::Record& record) {
    switch (record.opcode) {
        case FUSE_FORGET:
            record.size = arguments.as<fuse_forget_in>().nlookup;
            break;
        case FUSE_BATCH_FORGET:
            record.size = arguments.as<fuse_batch_forget_in>().count;
            break;
        case FUSE_INTERRUPT:
            record.flags = static_cast<std::uint32_t>(arguments.as<fuse_interrupt_in>().unique);
            break;
        default:
            break;
    }
}

}  // namespace

bool read_message(std::span<const std::byte> message, trace::Record& record) {
    fuse_in_header header{};
    if (message.size() < sizeof header) {
        return false;
    }
    std::memcpy(&header, message.data(), sizeof header);
    record.opcode = header.opcode;
    record.unique = header.unique;
    record.nodeid = header.nodeid;
    record.bytes_in = header.len;
    record.pid = header.pid;
    // Each opcode belongs to one of these; the others leave the record as it is.
    const Arguments arguments{message.subspan(sizeof header)};
    data_operation(arguments, record);
    file_operation(arguments, record);
    attribute_operation(arguments, record);
    directory_operation(arguments, record);
    message_without_reply(arguments, record);
    return true;
}

bool is_made_at_read(std::uint32_t opcode) {
    return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

}  // namespace fusesim::record

#include "fuse/sizes.h"

namespace fusesim::fuse {
namespace {

// What an older side of the connection makes of the fixed arguments.
constexpr unsigned blksize_minor = 9;    ///< fuse_attr has grown by 8, fuse_write_in by 16
constexpr unsigned umask_minor = 12;     ///< fuse_mknod_in and fuse_create_in have grown by 8
constexpr unsigned init_out_minor = 23;  ///< fuse_init_out has grown from 24 to 64
constexpr unsigned init_ext_minor = 36;  ///< fuse_init_in has grown from 16 to 64

bool replies_with_attributes(Opcode opcode) {
    switch (opcode) {
        case Opcode::lookup:
        case Opcode::getattr:
        case Opcode::setattr:
        case Opcode::create:
        case Opcode::mknod:
        case Opcode::mkdir:
        case Opcode::symlink:
        case Opcode::link:
            return true;
        default:
            return false;
    }
}

std::uint32_t fixed_request_args(const OpcodeInfo& entry,
                                 unsigned minor,
                                 const RequestShape& shape) {
    switch (entry.opcode) {
        case Opcode::setxattr:
            return shape.setxattr_ext ? 16 : 8;
        case Opcode::write:
            return minor < blksize_minor ? 24 : entry.request_args;
        case Opcode::mknod:
        case Opcode::create:
            return minor < umask_minor ? 8 : entry.request_args;
        case Opcode::init:
            return minor < init_ext_minor ? 16 : entry.request_args;
        default:
            return entry.request_args;
    }
}

}  // namespace

std::uint32_t request_bytes(Opcode opcode, unsigned minor, const RequestShape& shape) {
    const OpcodeInfo& entry = info(opcode);
    std::uint32_t bytes =
        in_header_bytes + fixed_request_args(entry, minor, shape) + shape.extensions;
    if (entry.names >= 1) {
        bytes += shape.name + 1;
    }
    if (entry.names >= 2) {
        bytes += shape.name2 + 1;
    }
    if (opcode == Opcode::batch_forget) {
        bytes += shape.entries * forget_one_bytes;
    } else if (opcode == Opcode::removemapping) {
        bytes += shape.entries * removemapping_one_bytes;
    } else if (entry.request_data) {
        bytes += shape.data;
    }
    return bytes;
}

std::uint32_t reply_bytes(Opcode opcode, unsigned minor, const ReplyShape& shape) {
    const OpcodeInfo& entry = info(opcode);
    if (!entry.expects_reply) {
        return 0;
    }
    if (shape.error) {
        return out_header_bytes;
    }
    if (opcode == Opcode::init) {
        const std::uint32_t old = minor < 5 ? 8 : 24;
        return out_header_bytes + (minor < init_out_minor ? old : entry.reply_args);
    }
    if (shape.size_query && (opcode == Opcode::getxattr || opcode == Opcode::listxattr)) {
        return out_header_bytes + 8;
    }
    std::uint32_t bytes = out_header_bytes + entry.reply_args;
    if (minor < blksize_minor && replies_with_attributes(opcode)) {
        bytes -= 8;
    }
    return entry.reply_data ? bytes + shape.data : bytes;
}

std::uint32_t notification_bytes(Notification code, const NotificationShape& shape) {
    switch (code) {
        case Notification::poll:
            return out_header_bytes + 8;
        case Notification::inval_inode:
            return out_header_bytes + 24;
        case Notification::inval_entry:
            return out_header_bytes + 16 + shape.name + 1;
        case Notification::store:
            return out_header_bytes + 24 + shape.data;
        case Notification::retrieve:
            return out_header_bytes + 32;
        case Notification::remove:
            return out_header_bytes + 24 + shape.name + 1;
        case Notification::resend:
        case Notification::inc_epoch:
            return out_header_bytes;
        case Notification::prune:
            return out_header_bytes + 16 + 8 * shape.nodes;
    }
    return out_header_bytes;
}

}  // namespace fusesim::fuse

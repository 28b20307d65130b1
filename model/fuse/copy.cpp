#include "fuse/copy.h"

#include <algorithm>

namespace fusesim::fuse {
namespace {

constexpr std::uint32_t page = kernel_page_bytes;

bool request_data_in_pages(Opcode opcode) {
    return opcode == Opcode::write || opcode == Opcode::notify_reply || opcode == Opcode::ioctl;
}

bool reply_data_in_pages(Opcode opcode) {
    switch (opcode) {
        case Opcode::read:
        case Opcode::readdir:
        case Opcode::readdirplus:
        case Opcode::readlink:
        case Opcode::ioctl:
            return true;
        default:
            return false;
    }
}

/// Borders of pages strictly inside `bytes` that begin at `offset` in a page.
std::uint32_t borders(std::uint32_t offset, std::uint32_t bytes) {
    return (offset % page + bytes - 1) / page;
}

/// Follows the stream of a message through the daemon's buffers.
class Walk {
  public:
    explicit Walk(const UserBuffer& buffer)
        : user_(buffer.offset), left_(buffer.first_bytes), second_(buffer.second_offset) {}

    /// Copies an argument, which lies in one piece in the kernel.
    void argument(std::uint32_t bytes) { part(bytes, 0, false); }

    /// Copies data that lie in pages.
    void pages(std::uint32_t bytes, std::uint32_t offset) { part(bytes, offset, true); }

    CopyShape shape() {
        close_buffer();
        return shape_;
    }

  private:
    void part(std::uint32_t bytes, std::uint32_t offset, bool in_pages) {
        while (bytes != 0) {
            const std::uint32_t now = left_ == 0 ? bytes : std::min(bytes, left_);
            piece(now, offset, in_pages);
            bytes -= now;
            offset += now;
            if (left_ != 0 && (left_ -= now) == 0) {
                close_buffer();
                user_ = second_;
            }
        }
    }

    void piece(std::uint32_t bytes, std::uint32_t offset, bool in_pages) {
        const std::uint32_t user = user_ + in_buffer_;
        std::uint32_t cuts = borders(user, bytes);
        if (in_pages && user % page != offset % page) {
            cuts += borders(offset, bytes);
        }
        shape_.runs += 1 + cuts;
        shape_.bytes += bytes;
        in_buffer_ += bytes;
    }

    void close_buffer() {
        if (in_buffer_ != 0) {
            shape_.user_pages += 1 + borders(user_, in_buffer_);
            in_buffer_ = 0;
        }
    }

    CopyShape shape_;
    std::uint32_t user_;           ///< offset in a user page where the current buffer begins
    std::uint32_t in_buffer_ = 0;  ///< bytes of it used
    std::uint32_t left_;           ///< bytes left in the first buffer; 0: no border ahead
    std::uint32_t second_;
};

}  // namespace

std::uint32_t MessageParts::bytes() const {
    std::uint32_t sum = page_bytes_;
    for (std::size_t i = 0; i < count_; ++i) {
        sum += arguments_[i];
    }
    return sum;
}

MessageParts request_parts(Opcode opcode, unsigned minor, const RequestShape& shape) {
    const OpcodeInfo& entry = info(opcode);
    MessageParts parts;
    parts.add_argument(in_header_bytes);
    RequestShape fixed;
    fixed.setxattr_ext = shape.setxattr_ext;
    const std::uint32_t names = entry.names;
    parts.add_argument(request_bytes(opcode, minor, fixed) - in_header_bytes - names);
    if (names >= 1) {
        parts.add_argument(shape.name + 1);
    }
    if (names >= 2) {
        parts.add_argument(shape.name2 + 1);
    }
    const std::uint32_t before_data = parts.bytes() + shape.extensions;
    const std::uint32_t data = request_bytes(opcode, minor, shape) - before_data;
    if (request_data_in_pages(opcode)) {
        parts.set_pages(data);
    } else {
        parts.add_argument(data);
    }
    parts.add_argument(shape.extensions);
    return parts;
}

MessageParts request_parts(Opcode opcode, unsigned minor, std::uint32_t bytes) {
    const OpcodeInfo& entry = info(opcode);
    const std::uint32_t names = entry.names;
    const std::uint32_t fixed = request_bytes(opcode, minor) - names;
    MessageParts parts;
    const std::uint32_t header = std::min(bytes, in_header_bytes);
    parts.add_argument(header);
    parts.add_argument(std::min(bytes, fixed) - header);
    const std::uint32_t rest = bytes > fixed ? bytes - fixed : 0;
    if (request_data_in_pages(opcode)) {
        parts.set_pages(rest);
    } else if (names == 2) {
        parts.add_argument(rest / 2);
        parts.add_argument(rest - rest / 2);
    } else {
        parts.add_argument(rest);
    }
    return parts;
}

MessageParts reply_parts(Opcode opcode, std::uint32_t bytes, std::uint32_t page_offset) {
    MessageParts parts;
    parts.add_argument(std::min(bytes, out_header_bytes));
    std::uint32_t rest = bytes > out_header_bytes ? bytes - out_header_bytes : 0;
    if (!reply_data_in_pages(opcode)) {
        if ((opcode == Opcode::create || opcode == Opcode::tmpfile) && rest > 16) {
            parts.add_argument(rest - 16);  // entry_out, then open_out
            rest = 16;
        }
        parts.add_argument(rest);
        return parts;
    }
    const std::uint32_t fixed = std::min<std::uint32_t>(rest, info(opcode).reply_args);
    parts.add_argument(fixed);
    parts.set_pages(rest - fixed, page_offset);
    return parts;
}

CopyShape copy_shape(const MessageParts& parts, const UserBuffer& buffer) {
    Walk walk(buffer);
    for (std::size_t i = 0; i < parts.arguments(); ++i) {
        walk.argument(parts.argument(i));
    }
    walk.pages(parts.page_bytes(), parts.page_offset());
    return walk.shape();
}

}  // namespace fusesim::fuse

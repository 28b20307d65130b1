#pragma once

#include "fuse/opcode.h"
#include "fuse/sizes.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace fusesim::fuse {

/// What copying one message between kernel and daemon consists of. Whoever charges time has one
/// cost for each.
struct CopyShape {
    /// fuse_copy_fill: one user page looked up and pinned, the request's wait-queue lock taken
    /// twice.
    std::uint32_t user_pages = 0;
    std::uint32_t runs = 0;   ///< separate memcpy calls
    std::uint32_t bytes = 0;  ///< copied in all

    std::uint32_t lock_pairs() const { return user_pages; }

    bool operator==(const CopyShape&) const = default;
};

/// How the kernel holds one message: arguments, each copied by itself, then pages.
class MessageParts {
  public:
    void add_argument(std::uint32_t bytes) {
        if (bytes != 0) {
            arguments_[count_++] = bytes;
        }
    }

    /// `offset` is where in the first page the data begin.
    void set_pages(std::uint32_t bytes, std::uint32_t offset = 0) {
        page_bytes_ = bytes;
        page_offset_ = offset % kernel_page_bytes;
    }

    std::size_t arguments() const { return count_; }

    std::uint32_t argument(std::size_t i) const { return arguments_[i]; }

    std::uint32_t page_bytes() const { return page_bytes_; }

    std::uint32_t page_offset() const { return page_offset_; }

    std::uint32_t bytes() const;

  private:
    std::array<std::uint32_t, 8> arguments_{};
    std::size_t count_ = 0;
    std::uint32_t page_bytes_ = 0;
    std::uint32_t page_offset_ = 0;
};

/// The parts of a request. Data that the kernel keeps in pages: WRITE, NOTIFY_REPLY, IOCTL.
MessageParts request_parts(Opcode opcode, unsigned minor, const RequestShape& shape);

/// The same where only the length of the whole message is known, as from a trace. Two names are
/// taken as equally long.
MessageParts request_parts(Opcode opcode, unsigned minor, std::uint32_t bytes);

/// The parts of a reply of that length. Data in pages: READ, READDIR, READDIRPLUS, READLINK,
/// IOCTL.
MessageParts reply_parts(Opcode opcode, std::uint32_t bytes, std::uint32_t page_offset = 0);

/// The daemon's side: one buffer, or the two of a reply by writev. Offsets are those in the user
/// page where each begins.
struct UserBuffer {
    std::uint32_t offset = 0;
    std::uint32_t first_bytes = 0;  ///< length of the first buffer; 0: one buffer for all
    std::uint32_t second_offset = 0;
};

/// The reply of libfuse: the header on its stack, data in a buffer of their own.
inline constexpr UserBuffer header_and_data{0, out_header_bytes, 0};

/// A memcpy run ends at every border of a part, of a user page and, in pages, of a kernel page.
CopyShape copy_shape(const MessageParts& parts, const UserBuffer& buffer = {});

/// Pages that a READ reply shorter than asked leaves for the kernel to clear, whole ones and the
/// rest of the last.
constexpr std::uint32_t cleared_pages(std::uint32_t asked, std::uint32_t got) {
    const std::uint32_t full = got / kernel_page_bytes;
    return got >= asked ? 0 : static_cast<std::uint32_t>(pages_of(asked)) - full;
}

}  // namespace fusesim::fuse

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fusesim::fuse {

/// What a request asks for; the numbers are the protocol's (uapi/linux/fuse.h up to 7.45).
enum class Opcode : std::uint32_t {
    lookup = 1,
    forget = 2,
    getattr = 3,
    setattr = 4,
    readlink = 5,
    symlink = 6,
    mknod = 8,
    mkdir = 9,
    unlink = 10,
    rmdir = 11,
    rename = 12,
    link = 13,
    open = 14,
    read = 15,
    write = 16,
    statfs = 17,
    release = 18,
    fsync = 20,
    setxattr = 21,
    getxattr = 22,
    listxattr = 23,
    removexattr = 24,
    flush = 25,
    init = 26,
    opendir = 27,
    readdir = 28,
    releasedir = 29,
    fsyncdir = 30,
    getlk = 31,
    setlk = 32,
    setlkw = 33,
    access = 34,
    create = 35,
    interrupt = 36,
    bmap = 37,
    destroy = 38,
    ioctl = 39,
    poll = 40,
    notify_reply = 41,
    batch_forget = 42,
    fallocate = 43,
    readdirplus = 44,
    rename2 = 45,
    lseek = 46,
    copy_file_range = 47,
    setupmapping = 48,
    removemapping = 49,
    syncfs = 50,
    tmpfile = 51,
    statx = 52,
    copy_file_range_64 = 53,
    cuse_init = 4096,
};

/// Families of opcodes, for reports and for settings that name many opcodes at once.
enum class Group : std::uint8_t {
    special,
    metadata,
    data,
    attributes,
    extended_attributes,
    symlinks,
    directory,
    locking,
    misc,
};

inline constexpr std::size_t group_count = 9;

/// The newest protocol (7.x) whose messages are known here.
inline constexpr unsigned newest_protocol_minor = 45;

/// The oldest protocol whose message forms are known here.
inline constexpr unsigned oldest_protocol_minor = 5;

/// What holds for every request of one opcode.
struct OpcodeInfo {
    Opcode opcode;
    std::string_view name;  ///< the header's spelling without "FUSE_"
    Group group;
    std::uint8_t since_minor;    ///< first protocol 7.x that has it
    bool expects_reply;          ///< the kernel keeps it on the processing queue until answered
    bool forget;                 ///< drops lookup counts; libfuse does not count it as work
    std::uint8_t names;          ///< strings in the request, each sent with its NUL
    std::uint16_t request_args;  ///< bytes of the fixed arguments after fuse_in_header, newest form
    bool request_data;           ///< variable bytes follow the fixed arguments
    std::uint16_t reply_args;  ///< bytes of the fixed arguments after fuse_out_header, newest form
    bool reply_data;           ///< the reply carries a variable number of bytes
};

/// Opcodes have a dense number besides the protocol's, for arrays of per-opcode figures.
inline constexpr std::size_t opcode_count = 52;
using OpcodeTable = std::array<OpcodeInfo, opcode_count>;

/// Every opcode in the protocol's order: the one place that lists them.
const OpcodeTable& opcodes();

/// Position in opcodes().
constexpr std::size_t opcode_index(Opcode opcode) {
    const auto number = static_cast<std::uint32_t>(opcode);
    if (number == static_cast<std::uint32_t>(Opcode::cuse_init)) {
        return opcode_count - 1;
    }
    return number - 1U - (number > 7 ? 1U : 0U) - (number > 19 ? 1U : 0U);
}

const OpcodeInfo& info(Opcode opcode);

constexpr bool is_forget(Opcode opcode) {
    return opcode == Opcode::forget || opcode == Opcode::batch_forget;
}

/// False for what is never answered. As the table says, but without looking there.
constexpr bool expects_reply(Opcode opcode) {
    return !is_forget(opcode) && opcode != Opcode::interrupt && opcode != Opcode::notify_reply;
}

/// The kernel's spelling: "READ", "CUSE_INIT".
std::string_view to_text(Opcode opcode);

/// Reads "READ" or "FUSE_READ"; nothing if there is no such opcode.
std::optional<Opcode> parse_opcode(std::string_view text);

/// The opcode with the protocol's number; nothing for a hole or an unknown number.
std::optional<Opcode> opcode_from_number(std::uint32_t number);

std::string_view to_text(Group group);

std::optional<Group> parse_group(std::string_view text);

}  // namespace fusesim::fuse

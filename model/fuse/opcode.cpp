#include "fuse/opcode.h"

namespace fusesim::fuse {
namespace {

using G = Group;
using O = Opcode;

// Sizes: uapi/linux/fuse.h, compiled; composition: the senders in fs/fuse, see kernel-ref/MAP.md.
// opcode, name, group, since, reply, forget, names, request args, +data, reply args, +data
constexpr OpcodeTable table{{
    {O::lookup, "LOOKUP", G::metadata, 0, true, false, 1, 0, false, 128, false},
    {O::forget, "FORGET", G::metadata, 0, false, true, 0, 8, false, 0, false},
    {O::getattr, "GETATTR", G::attributes, 0, true, false, 0, 16, false, 104, false},
    {O::setattr, "SETATTR", G::attributes, 1, true, false, 0, 88, false, 104, false},
    {O::readlink, "READLINK", G::symlinks, 0, true, false, 0, 0, false, 0, true},
    {O::symlink, "SYMLINK", G::symlinks, 1, true, false, 2, 0, false, 128, false},
    {O::mknod, "MKNOD", G::misc, 1, true, false, 1, 16, false, 128, false},
    {O::mkdir, "MKDIR", G::directory, 1, true, false, 1, 8, false, 128, false},
    {O::unlink, "UNLINK", G::metadata, 1, true, false, 1, 0, false, 0, false},
    {O::rmdir, "RMDIR", G::directory, 1, true, false, 1, 0, false, 0, false},
    {O::rename, "RENAME", G::metadata, 1, true, false, 2, 8, false, 0, false},
    {O::link, "LINK", G::metadata, 1, true, false, 1, 8, false, 128, false},
    {O::open, "OPEN", G::metadata, 1, true, false, 0, 8, false, 16, false},
    {O::read, "READ", G::data, 1, true, false, 0, 40, false, 0, true},
    {O::write, "WRITE", G::data, 1, true, false, 0, 40, true, 8, false},
    {O::statfs, "STATFS", G::metadata, 0, true, false, 0, 0, false, 80, false},
    {O::release, "RELEASE", G::metadata, 1, true, false, 0, 24, false, 0, false},
    {O::fsync, "FSYNC", G::metadata, 1, true, false, 0, 16, false, 0, false},
    {O::setxattr, "SETXATTR", G::extended_attributes, 1, true, false, 1, 8, true, 0, false},
    {O::getxattr, "GETXATTR", G::extended_attributes, 1, true, false, 1, 8, false, 0, true},
    {O::listxattr, "LISTXATTR", G::extended_attributes, 1, true, false, 0, 8, false, 0, true},
    {O::removexattr, "REMOVEXATTR", G::extended_attributes, 1, true, false, 1, 0, false, 0, false},
    {O::flush, "FLUSH", G::metadata, 1, true, false, 0, 24, false, 0, false},
    {O::init, "INIT", G::special, 0, true, false, 0, 64, false, 64, false},
    {O::opendir, "OPENDIR", G::directory, 1, true, false, 0, 8, false, 16, false},
    {O::readdir, "READDIR", G::directory, 1, true, false, 0, 40, false, 0, true},
    {O::releasedir, "RELEASEDIR", G::directory, 1, true, false, 0, 24, false, 0, false},
    {O::fsyncdir, "FSYNCDIR", G::directory, 2, true, false, 0, 16, false, 0, false},
    {O::getlk, "GETLK", G::locking, 7, true, false, 0, 48, false, 24, false},
    {O::setlk, "SETLK", G::locking, 7, true, false, 0, 48, false, 0, false},
    {O::setlkw, "SETLKW", G::locking, 7, true, false, 0, 48, false, 0, false},
    {O::access, "ACCESS", G::metadata, 3, true, false, 0, 8, false, 0, false},
    {O::create, "CREATE", G::metadata, 3, true, false, 1, 16, false, 144, false},
    {O::interrupt, "INTERRUPT", G::special, 7, false, false, 0, 8, false, 0, false},
    {O::bmap, "BMAP", G::misc, 8, true, false, 0, 16, false, 8, false},
    {O::destroy, "DESTROY", G::special, 8, true, false, 0, 0, false, 0, false},
    {O::ioctl, "IOCTL", G::misc, 11, true, false, 0, 32, true, 16, true},
    {O::poll, "POLL", G::misc, 11, true, false, 0, 24, false, 8, false},
    {O::notify_reply, "NOTIFY_REPLY", G::misc, 15, false, false, 0, 40, true, 0, false},
    {O::batch_forget, "BATCH_FORGET", G::metadata, 16, false, true, 0, 8, true, 0, false},
    {O::fallocate, "FALLOCATE", G::misc, 19, true, false, 0, 32, false, 0, false},
    {O::readdirplus, "READDIRPLUS", G::directory, 21, true, false, 0, 40, false, 0, true},
    {O::rename2, "RENAME2", G::metadata, 23, true, false, 2, 16, false, 0, false},
    {O::lseek, "LSEEK", G::misc, 24, true, false, 0, 24, false, 8, false},
    {O::copy_file_range, "COPY_FILE_RANGE", G::misc, 28, true, false, 0, 56, false, 8, false},
    {O::setupmapping, "SETUPMAPPING", G::misc, 31, true, false, 0, 40, false, 0, false},
    {O::removemapping, "REMOVEMAPPING", G::misc, 31, true, false, 0, 4, true, 0, false},
    {O::syncfs, "SYNCFS", G::metadata, 34, true, false, 0, 8, false, 0, false},
    {O::tmpfile, "TMPFILE", G::metadata, 37, true, false, 1, 16, false, 144, false},
    {O::statx, "STATX", G::attributes, 39, true, false, 0, 24, false, 288, false},
    {O::copy_file_range_64, "COPY_FILE_RANGE_64", G::misc, 45, true, false, 0, 56, false, 8, false},
    {O::cuse_init, "CUSE_INIT", G::special, 12, true, false, 0, 16, false, 72, true},
}};

constexpr bool table_agrees() {
    for (std::size_t i = 0; i < table.size(); ++i) {
        const OpcodeInfo& entry = table[i];
        if (opcode_index(entry.opcode) != i || entry.forget != is_forget(entry.opcode) ||
            entry.expects_reply != expects_reply(entry.opcode)) {
            return false;
        }
    }
    return true;
}

static_assert(table_agrees());

constexpr std::array<std::string_view, group_count> group_names{
    "special",
    "metadata",
    "data",
    "attributes",
    "extended_attributes",
    "symlinks",
    "directory",
    "locking",
    "misc",
};

}  // namespace

const OpcodeTable& opcodes() {
    return table;
}

const OpcodeInfo& info(Opcode opcode) {
    return table[opcode_index(opcode)];
}

std::string_view to_text(Opcode opcode) {
    return info(opcode).name;
}

std::optional<Opcode> parse_opcode(std::string_view text) {
    constexpr std::string_view prefix = "FUSE_";
    if (text.starts_with(prefix)) {
        text.remove_prefix(prefix.size());
    }
    for (const OpcodeInfo& entry : table) {
        if (entry.name == text) {
            return entry.opcode;
        }
    }
    return std::nullopt;
}

std::optional<Opcode> opcode_from_number(std::uint32_t number) {
    const auto opcode = static_cast<Opcode>(number);
    const std::size_t index = opcode_index(opcode);
    if (index < table.size() && table[index].opcode == opcode) {
        return opcode;
    }
    return std::nullopt;
}

std::string_view to_text(Group group) {
    return group_names[static_cast<std::size_t>(group)];
}

std::optional<Group> parse_group(std::string_view text) {
    for (std::size_t i = 0; i < group_names.size(); ++i) {
        if (group_names[i] == text) {
            return static_cast<Group>(i);
        }
    }
    return std::nullopt;
}

}  // namespace fusesim::fuse

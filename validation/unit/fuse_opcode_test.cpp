#include "fuse/opcode.h"

#include <catch2/catch.hpp>
#include <linux/fuse.h>

#include <set>
#include <string>

using namespace fusesim::fuse;

TEST_CASE("every opcode is found by its number, its name and its place", "[unit]") {
    std::size_t index = 0;
    for (const OpcodeInfo& entry : opcodes()) {
        CAPTURE(entry.name);
        CHECK(opcode_index(entry.opcode) == index++);
        CHECK(opcode_from_number(static_cast<std::uint32_t>(entry.opcode)) == entry.opcode);
        CHECK(parse_opcode(entry.name) == entry.opcode);
        CHECK(parse_opcode("FUSE_" + std::string(entry.name)) == entry.opcode);
        CHECK(to_text(entry.opcode) == entry.name);
        CHECK(entry.since_minor <= newest_protocol_minor);
    }
}

TEST_CASE("numbers without an opcode and misspelt names are refused", "[unit]") {
    for (const std::uint32_t hole : {0U, 7U, 19U, 54U, 55U, 4095U, 4097U, 1048576U, 0xffffffffU}) {
        CHECK_FALSE(opcode_from_number(hole));
    }
    for (const char* text : {"", "FUSE_", "read", "FUSE_FUSE_READ", "READ ", "READS"}) {
        CHECK_FALSE(parse_opcode(text));
    }
}

TEST_CASE("opcodes have the numbers of the system's header", "[unit]") {
    CHECK(static_cast<int>(Opcode::lookup) == FUSE_LOOKUP);
    CHECK(static_cast<int>(Opcode::forget) == FUSE_FORGET);
    CHECK(static_cast<int>(Opcode::getattr) == FUSE_GETATTR);
    CHECK(static_cast<int>(Opcode::setattr) == FUSE_SETATTR);
    CHECK(static_cast<int>(Opcode::readlink) == FUSE_READLINK);
    CHECK(static_cast<int>(Opcode::symlink) == FUSE_SYMLINK);
    CHECK(static_cast<int>(Opcode::mknod) == FUSE_MKNOD);
    CHECK(static_cast<int>(Opcode::mkdir) == FUSE_MKDIR);
    CHECK(static_cast<int>(Opcode::unlink) == FUSE_UNLINK);
    CHECK(static_cast<int>(Opcode::rmdir) == FUSE_RMDIR);
    CHECK(static_cast<int>(Opcode::rename) == FUSE_RENAME);
    CHECK(static_cast<int>(Opcode::link) == FUSE_LINK);
    CHECK(static_cast<int>(Opcode::open) == FUSE_OPEN);
    CHECK(static_cast<int>(Opcode::read) == FUSE_READ);
    CHECK(static_cast<int>(Opcode::write) == FUSE_WRITE);
    CHECK(static_cast<int>(Opcode::statfs) == FUSE_STATFS);
    CHECK(static_cast<int>(Opcode::release) == FUSE_RELEASE);
    CHECK(static_cast<int>(Opcode::fsync) == FUSE_FSYNC);
    CHECK(static_cast<int>(Opcode::setxattr) == FUSE_SETXATTR);
    CHECK(static_cast<int>(Opcode::getxattr) == FUSE_GETXATTR);
    CHECK(static_cast<int>(Opcode::listxattr) == FUSE_LISTXATTR);
    CHECK(static_cast<int>(Opcode::removexattr) == FUSE_REMOVEXATTR);
    CHECK(static_cast<int>(Opcode::flush) == FUSE_FLUSH);
    CHECK(static_cast<int>(Opcode::init) == FUSE_INIT);
    CHECK(static_cast<int>(Opcode::opendir) == FUSE_OPENDIR);
    CHECK(static_cast<int>(Opcode::readdir) == FUSE_READDIR);
    CHECK(static_cast<int>(Opcode::releasedir) == FUSE_RELEASEDIR);
    CHECK(static_cast<int>(Opcode::fsyncdir) == FUSE_FSYNCDIR);
    CHECK(static_cast<int>(Opcode::getlk) == FUSE_GETLK);
    CHECK(static_cast<int>(Opcode::setlk) == FUSE_SETLK);
    CHECK(static_cast<int>(Opcode::setlkw) == FUSE_SETLKW);
    CHECK(static_cast<int>(Opcode::access) == FUSE_ACCESS);
    CHECK(static_cast<int>(Opcode::create) == FUSE_CREATE);
    CHECK(static_cast<int>(Opcode::interrupt) == FUSE_INTERRUPT);
    CHECK(static_cast<int>(Opcode::bmap) == FUSE_BMAP);
    CHECK(static_cast<int>(Opcode::destroy) == FUSE_DESTROY);
    CHECK(static_cast<int>(Opcode::ioctl) == FUSE_IOCTL);
    CHECK(static_cast<int>(Opcode::poll) == FUSE_POLL);
    CHECK(static_cast<int>(Opcode::notify_reply) == FUSE_NOTIFY_REPLY);
    CHECK(static_cast<int>(Opcode::batch_forget) == FUSE_BATCH_FORGET);
    CHECK(static_cast<int>(Opcode::fallocate) == FUSE_FALLOCATE);
    CHECK(static_cast<int>(Opcode::readdirplus) == FUSE_READDIRPLUS);
    CHECK(static_cast<int>(Opcode::rename2) == FUSE_RENAME2);
    CHECK(static_cast<int>(Opcode::lseek) == FUSE_LSEEK);
    CHECK(static_cast<int>(Opcode::copy_file_range) == FUSE_COPY_FILE_RANGE);
    CHECK(static_cast<int>(Opcode::setupmapping) == FUSE_SETUPMAPPING);
    CHECK(static_cast<int>(Opcode::removemapping) == FUSE_REMOVEMAPPING);
#if FUSE_KERNEL_MINOR_VERSION >= 34
    CHECK(static_cast<int>(Opcode::syncfs) == FUSE_SYNCFS);
#endif
#if FUSE_KERNEL_MINOR_VERSION >= 37
    CHECK(static_cast<int>(Opcode::tmpfile) == FUSE_TMPFILE);
#endif
#if FUSE_KERNEL_MINOR_VERSION >= 39
    CHECK(static_cast<int>(Opcode::statx) == FUSE_STATX);
#endif
    CHECK(static_cast<int>(Opcode::cuse_init) == CUSE_INIT);
}

TEST_CASE("four messages are never answered, two of them forget", "[unit]") {
    std::set<std::string_view> silent;
    std::set<std::string_view> forgets;
    for (const OpcodeInfo& entry : opcodes()) {
        if (!entry.expects_reply) {
            silent.insert(entry.name);
        }
        if (entry.forget) {
            forgets.insert(entry.name);
        }
    }
    CHECK(silent ==
          std::set<std::string_view>{"FORGET", "BATCH_FORGET", "INTERRUPT", "NOTIFY_REPLY"});
    CHECK(forgets == std::set<std::string_view>{"FORGET", "BATCH_FORGET"});
}

TEST_CASE("up to protocol 7.23 the groups hold the classic 43 opcodes", "[unit]") {
    std::array<int, group_count> classic{};
    for (const OpcodeInfo& entry : opcodes()) {
        if (entry.since_minor <= 23 && entry.opcode != Opcode::cuse_init) {
            ++classic[static_cast<std::size_t>(entry.group)];
        }
    }
    CHECK(classic == std::array<int, group_count>{3, 14, 2, 2, 4, 2, 7, 3, 6});
    for (std::size_t i = 0; i < group_count; ++i) {
        const auto group = static_cast<Group>(i);
        CHECK(parse_group(to_text(group)) == group);
    }
    CHECK_FALSE(parse_group("Data"));
}

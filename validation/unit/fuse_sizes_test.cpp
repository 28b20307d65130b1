#include "fuse/sizes.h"

#include <catch2/catch.hpp>
#include <linux/fuse.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace fusesim::fuse;

namespace {

// Compiled sizes of uapi/linux/fuse.h in nine kernels; 0: the struct is not there.
constexpr std::array<unsigned, 9> minors{23, 27, 31, 34, 38, 41, 42, 44, 45};

const std::map<std::string, std::array<std::uint32_t, 9>> struct_sizes{
    {"cuse_init_in", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"cuse_init_out", {72, 72, 72, 72, 72, 72, 72, 72, 72}},
    {"fuse_access_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_attr_out", {104, 104, 104, 104, 104, 104, 104, 104, 104}},
    {"fuse_batch_forget_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_bmap_in", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_bmap_out", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_copy_file_range_in", {0, 0, 56, 56, 56, 56, 56, 56, 56}},
    {"fuse_copy_file_range_out", {0, 0, 0, 0, 0, 0, 0, 0, 8}},
    {"fuse_create_in", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_dirent", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_direntplus", {152, 152, 152, 152, 152, 152, 152, 152, 152}},
    {"fuse_entry_out", {128, 128, 128, 128, 128, 128, 128, 128, 128}},
    {"fuse_ext_header", {0, 0, 0, 0, 8, 8, 8, 8, 8}},
    {"fuse_fallocate_in", {32, 32, 32, 32, 32, 32, 32, 32, 32}},
    {"fuse_flush_in", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_forget_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_forget_one", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_fsync_in", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_getattr_in", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_getxattr_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_getxattr_out", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_in_header", {40, 40, 40, 40, 40, 40, 40, 40, 40}},
    {"fuse_init_in", {16, 16, 16, 16, 64, 64, 64, 64, 64}},
    {"fuse_init_out", {64, 64, 64, 64, 64, 64, 64, 64, 64}},
    {"fuse_interrupt_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_ioctl_in", {32, 32, 32, 32, 32, 32, 32, 32, 32}},
    {"fuse_ioctl_out", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_kstatfs", {80, 80, 80, 80, 80, 80, 80, 80, 80}},
    {"fuse_link_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_lk_in", {48, 48, 48, 48, 48, 48, 48, 48, 48}},
    {"fuse_lk_out", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_lseek_in", {0, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_lseek_out", {0, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_mkdir_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_mknod_in", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_notify_delete_out", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_notify_inval_entry_out", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_notify_inval_inode_out", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_notify_poll_wakeup_out", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_notify_prune_out", {0, 0, 0, 0, 0, 0, 0, 0, 16}},
    {"fuse_notify_retrieve_in", {40, 40, 40, 40, 40, 40, 40, 40, 40}},
    {"fuse_notify_retrieve_out", {32, 32, 32, 32, 32, 32, 32, 32, 32}},
    {"fuse_notify_store_out", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_open_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_open_out", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_out_header", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_poll_in", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_poll_out", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_read_in", {40, 40, 40, 40, 40, 40, 40, 40, 40}},
    {"fuse_release_in", {24, 24, 24, 24, 24, 24, 24, 24, 24}},
    {"fuse_removemapping_in", {0, 0, 0, 4, 4, 4, 4, 4, 4}},
    {"fuse_removemapping_one", {0, 0, 0, 16, 16, 16, 16, 16, 16}},
    {"fuse_rename2_in", {16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {"fuse_rename_in", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
    {"fuse_secctx", {0, 0, 0, 0, 8, 8, 8, 8, 8}},
    {"fuse_secctx_header", {0, 0, 0, 0, 8, 8, 8, 8, 8}},
    {"fuse_setattr_in", {88, 88, 88, 88, 88, 88, 88, 88, 88}},
    {"fuse_setupmapping_in", {0, 0, 0, 40, 40, 40, 40, 40, 40}},
    {"fuse_setxattr_in", {8, 8, 8, 16, 16, 16, 16, 16, 16}},
    {"fuse_statx_in", {0, 0, 0, 0, 0, 24, 24, 24, 24}},
    {"fuse_statx_out", {0, 0, 0, 0, 0, 288, 288, 288, 288}},
    {"fuse_supp_groups", {0, 0, 0, 0, 0, 4, 4, 4, 4}},
    {"fuse_syncfs_in", {0, 0, 0, 8, 8, 8, 8, 8, 8}},
    {"fuse_uring_cmd_req", {0, 0, 0, 0, 0, 0, 24, 24, 24}},
    {"fuse_uring_ent_in_out", {0, 0, 0, 0, 0, 0, 32, 32, 32}},
    {"fuse_uring_req_header", {0, 0, 0, 0, 0, 0, 288, 288, 288}},
    {"fuse_write_in", {40, 40, 40, 40, 40, 40, 40, 40, 40}},
    {"fuse_write_out", {8, 8, 8, 8, 8, 8, 8, 8, 8}},
};

// Which structs each opcode's messages are made of, besides headers, names and data.
struct Made {
    Opcode opcode;
    std::vector<std::string> request;
    std::vector<std::string> reply;
};

const std::vector<Made> composition{
    {Opcode::lookup, {}, {"fuse_entry_out"}},
    {Opcode::forget, {"fuse_forget_in"}, {}},
    {Opcode::getattr, {"fuse_getattr_in"}, {"fuse_attr_out"}},
    {Opcode::setattr, {"fuse_setattr_in"}, {"fuse_attr_out"}},
    {Opcode::readlink, {}, {}},
    {Opcode::symlink, {}, {"fuse_entry_out"}},
    {Opcode::mknod, {"fuse_mknod_in"}, {"fuse_entry_out"}},
    {Opcode::mkdir, {"fuse_mkdir_in"}, {"fuse_entry_out"}},
    {Opcode::unlink, {}, {}},
    {Opcode::rmdir, {}, {}},
    {Opcode::rename, {"fuse_rename_in"}, {}},
    {Opcode::link, {"fuse_link_in"}, {"fuse_entry_out"}},
    {Opcode::open, {"fuse_open_in"}, {"fuse_open_out"}},
    {Opcode::read, {"fuse_read_in"}, {}},
    {Opcode::write, {"fuse_write_in"}, {"fuse_write_out"}},
    {Opcode::statfs, {}, {"fuse_kstatfs"}},
    {Opcode::release, {"fuse_release_in"}, {}},
    {Opcode::fsync, {"fuse_fsync_in"}, {}},
    {Opcode::getxattr, {"fuse_getxattr_in"}, {}},
    {Opcode::listxattr, {"fuse_getxattr_in"}, {}},
    {Opcode::removexattr, {}, {}},
    {Opcode::flush, {"fuse_flush_in"}, {}},
    {Opcode::init, {"fuse_init_in"}, {"fuse_init_out"}},
    {Opcode::opendir, {"fuse_open_in"}, {"fuse_open_out"}},
    {Opcode::readdir, {"fuse_read_in"}, {}},
    {Opcode::releasedir, {"fuse_release_in"}, {}},
    {Opcode::fsyncdir, {"fuse_fsync_in"}, {}},
    {Opcode::getlk, {"fuse_lk_in"}, {"fuse_lk_out"}},
    {Opcode::setlk, {"fuse_lk_in"}, {}},
    {Opcode::setlkw, {"fuse_lk_in"}, {}},
    {Opcode::access, {"fuse_access_in"}, {}},
    {Opcode::create, {"fuse_create_in"}, {"fuse_entry_out", "fuse_open_out"}},
    {Opcode::interrupt, {"fuse_interrupt_in"}, {}},
    {Opcode::bmap, {"fuse_bmap_in"}, {"fuse_bmap_out"}},
    {Opcode::destroy, {}, {}},
    {Opcode::ioctl, {"fuse_ioctl_in"}, {"fuse_ioctl_out"}},
    {Opcode::poll, {"fuse_poll_in"}, {"fuse_poll_out"}},
    {Opcode::notify_reply, {"fuse_notify_retrieve_in"}, {}},
    {Opcode::batch_forget, {"fuse_batch_forget_in"}, {}},
    {Opcode::fallocate, {"fuse_fallocate_in"}, {}},
    {Opcode::readdirplus, {"fuse_read_in"}, {}},
    {Opcode::rename2, {"fuse_rename2_in"}, {}},
    {Opcode::lseek, {"fuse_lseek_in"}, {"fuse_lseek_out"}},
    {Opcode::copy_file_range, {"fuse_copy_file_range_in"}, {"fuse_write_out"}},
    {Opcode::setupmapping, {"fuse_setupmapping_in"}, {}},
    {Opcode::removemapping, {"fuse_removemapping_in"}, {}},
    {Opcode::syncfs, {"fuse_syncfs_in"}, {}},
    {Opcode::tmpfile, {"fuse_create_in"}, {"fuse_entry_out", "fuse_open_out"}},
    {Opcode::statx, {"fuse_statx_in"}, {"fuse_statx_out"}},
    {Opcode::copy_file_range_64, {"fuse_copy_file_range_in"}, {"fuse_copy_file_range_out"}},
    {Opcode::cuse_init, {"cuse_init_in"}, {"cuse_init_out"}},
};

/// Sum of the structs in one kernel, or nothing if one is missing there.
std::optional<std::uint32_t> sum(const std::vector<std::string>& names, std::size_t column) {
    std::uint32_t bytes = 0;
    for (const std::string& name : names) {
        const std::uint32_t size = struct_sizes.at(name)[column];
        if (size == 0) {
            return std::nullopt;
        }
        bytes += size;
    }
    return bytes;
}

std::uint32_t size_of(const std::string& name) {
    return struct_sizes.at(name).back();
}

}  // namespace

TEST_CASE("messages are as long as their structs in every kernel", "[unit]") {
    CHECK(composition.size() + 1 == opcode_count);  // SETXATTR has a test of its own
    int compared = 0;
    for (std::size_t column = 0; column < minors.size(); ++column) {
        for (const Made& made : composition) {
            CAPTURE(to_text(made.opcode), minors[column]);
            const OpcodeInfo& entry = info(made.opcode);
            const auto request = sum(made.request, column);
            const auto reply = sum(made.reply, column);
            if (request) {
                const std::uint32_t names = entry.names;  // the empty names' NULs
                CHECK(request_bytes(made.opcode, minors[column]) == 40 + *request + names);
                ++compared;
            } else {
                // COPY_FILE_RANGE, SETUPMAPPING, ... came with the protocol that has their struct.
                CHECK(entry.since_minor >= minors[column]);
            }
            if (reply) {
                CHECK(reply_bytes(made.opcode, minors[column]) ==
                      (expects_reply(made.opcode) ? 16 + *reply : 0));
            }
        }
    }
    CHECK(compared > 400);
}

TEST_CASE("sizes that are constants here are the header's", "[unit]") {
    CHECK(in_header_bytes == size_of("fuse_in_header"));
    CHECK(out_header_bytes == size_of("fuse_out_header"));
    CHECK(forget_one_bytes == size_of("fuse_forget_one"));
    CHECK(removemapping_one_bytes == size_of("fuse_removemapping_one"));
    CHECK(interrupt_bytes == size_of("fuse_in_header") + size_of("fuse_interrupt_in"));
    CHECK(uring_req_header_bytes == size_of("fuse_uring_req_header"));
    CHECK(uring_req_header_bytes ==
          uring_in_out_bytes + uring_op_in_bytes + uring_ent_in_out_bytes);
    CHECK(uring_ent_in_out_bytes == size_of("fuse_uring_ent_in_out"));
    CHECK(uring_cmd_req_bytes == size_of("fuse_uring_cmd_req"));
    CHECK(dirent_bytes(0) == size_of("fuse_dirent"));
    CHECK(direntplus_bytes(0) == size_of("fuse_direntplus"));
}

TEST_CASE("the system's own header agrees with the table", "[unit]") {
    CHECK(sizeof(fuse_in_header) == size_of("fuse_in_header"));
    CHECK(sizeof(fuse_out_header) == size_of("fuse_out_header"));
    CHECK(sizeof(fuse_entry_out) == size_of("fuse_entry_out"));
    CHECK(sizeof(fuse_attr_out) == size_of("fuse_attr_out"));
    CHECK(sizeof(fuse_read_in) == size_of("fuse_read_in"));
    CHECK(sizeof(fuse_write_in) == size_of("fuse_write_in"));
    CHECK(sizeof(fuse_setattr_in) == size_of("fuse_setattr_in"));
    CHECK(sizeof(fuse_create_in) == size_of("fuse_create_in"));
    CHECK(sizeof(fuse_lk_in) == size_of("fuse_lk_in"));
    CHECK(sizeof(fuse_init_out) == size_of("fuse_init_out"));
    CHECK(sizeof(fuse_statfs_out) == size_of("fuse_kstatfs"));
    CHECK(sizeof(fuse_forget_one) == size_of("fuse_forget_one"));
    CHECK(sizeof(fuse_batch_forget_in) == size_of("fuse_batch_forget_in"));
    CHECK(sizeof(fuse_interrupt_in) == size_of("fuse_interrupt_in"));
    CHECK(sizeof(fuse_ioctl_in) == size_of("fuse_ioctl_in"));
    CHECK(sizeof(fuse_poll_in) == size_of("fuse_poll_in"));
    CHECK(sizeof(fuse_fallocate_in) == size_of("fuse_fallocate_in"));
    CHECK(sizeof(fuse_rename2_in) == size_of("fuse_rename2_in"));
    CHECK(sizeof(fuse_notify_retrieve_in) == size_of("fuse_notify_retrieve_in"));
    CHECK(sizeof(fuse_notify_store_out) == size_of("fuse_notify_store_out"));
    CHECK(sizeof(fuse_direntplus) == size_of("fuse_direntplus"));
    CHECK(sizeof(cuse_init_out) == size_of("cuse_init_out"));
    CHECK(FUSE_MIN_READ_BUFFER == min_read_buffer_bytes);
#if FUSE_KERNEL_MINOR_VERSION >= 36
    CHECK(sizeof(fuse_init_in) == size_of("fuse_init_in"));
    CHECK(sizeof(fuse_secctx) == size_of("fuse_secctx"));
    CHECK(sizeof(fuse_secctx_header) == size_of("fuse_secctx_header"));
#endif
}

TEST_CASE("handy totals of everyday messages", "[unit]") {
    CHECK(request_bytes(Opcode::lookup, 38, {.name = 8}) == 49);
    CHECK(request_bytes(Opcode::create, 38, {.name = 8}) == 65);
    CHECK(request_bytes(Opcode::unlink, 38, {.name = 8}) == 49);
    CHECK(request_bytes(Opcode::rename2, 38, {.name = 3, .name2 = 5}) == 66);
    CHECK(request_bytes(Opcode::symlink, 38, {.name = 3, .name2 = 20}) == 65);
    CHECK(request_bytes(Opcode::write, 38, {.data = 4096}) == 4176);
    CHECK(request_bytes(Opcode::batch_forget, 38, {.entries = 3}) == 96);
    CHECK(request_bytes(Opcode::removemapping, 38, {.entries = 2}) == 76);
    CHECK(request_bytes(Opcode::notify_reply, 38, {.data = 100}) == 180);
    CHECK(request_bytes(Opcode::ioctl, 38, {.data = 10}) == 82);
    CHECK(request_bytes(Opcode::getxattr, 38, {.name = 19}) == 68);
    CHECK(reply_bytes(Opcode::lookup, 38) == 144);
    CHECK(reply_bytes(Opcode::create, 38) == 160);
    CHECK(reply_bytes(Opcode::read, 38, {.data = 4096}) == 4112);
    CHECK(reply_bytes(Opcode::ioctl, 38, {.data = 10}) == 42);
    CHECK(reply_bytes(Opcode::getxattr, 38, {.size_query = true}) == 24);
    CHECK(reply_bytes(Opcode::getxattr, 38, {.data = 20}) == 36);
    CHECK(reply_bytes(Opcode::listxattr, 38, {.size_query = true}) == 24);
    CHECK(reply_bytes(Opcode::cuse_init, 38, {.data = 12}) == 100);
}

TEST_CASE("an error reply is the header, and silence stays silence", "[unit]") {
    for (const OpcodeInfo& entry : opcodes()) {
        CHECK(reply_bytes(entry.opcode, 45, {.data = 500, .error = true}) ==
              (entry.expects_reply ? 16 : 0));
    }
}

TEST_CASE("SETXATTR carries its longer form only where that was negotiated", "[unit]") {
    CHECK(request_bytes(Opcode::setxattr, 45, {.name = 9, .data = 4}) == 40 + 8 + 10 + 4);
    CHECK(request_bytes(Opcode::setxattr, 45, {.name = 9, .data = 4, .setxattr_ext = true}) ==
          40 + 16 + 10 + 4);
}

TEST_CASE("old servers get and give the old forms", "[unit]") {
    CHECK(request_bytes(Opcode::write, 8, {.data = 10}) == 40 + 24 + 10);
    CHECK(request_bytes(Opcode::write, 9, {.data = 10}) == 40 + 40 + 10);
    CHECK(request_bytes(Opcode::mknod, 11) == 40 + 8 + 1);
    CHECK(request_bytes(Opcode::mknod, 12) == 40 + 16 + 1);
    CHECK(request_bytes(Opcode::create, 11) == 40 + 8 + 1);
    CHECK(request_bytes(Opcode::create, 12) == 40 + 16 + 1);
    CHECK(request_bytes(Opcode::init, 35) == 40 + 16);
    CHECK(request_bytes(Opcode::init, 36) == 40 + 64);
    CHECK(reply_bytes(Opcode::init, 4) == 16 + 8);
    CHECK(reply_bytes(Opcode::init, 22) == 16 + 24);
    CHECK(reply_bytes(Opcode::init, 23) == 16 + 64);
    for (const Opcode opcode :
         {Opcode::lookup, Opcode::mknod, Opcode::mkdir, Opcode::symlink, Opcode::link}) {
        CHECK(reply_bytes(opcode, 8) == 16 + 120);
        CHECK(reply_bytes(opcode, 9) == 16 + 128);
    }
    CHECK(reply_bytes(Opcode::create, 8) == 16 + 120 + 16);
    CHECK(reply_bytes(Opcode::getattr, 8) == 16 + 96);
    CHECK(reply_bytes(Opcode::setattr, 8) == 16 + 96);
    CHECK(reply_bytes(Opcode::getattr, 9) == 16 + 104);
}

TEST_CASE("directory entries are rounded up to eight bytes", "[unit]") {
    CHECK(dirent_bytes(12) == 40);
    CHECK(direntplus_bytes(12) == 168);
    CHECK(dirent_bytes(8) == 32);
    CHECK(dirent_bytes(9) == 40);
    CHECK(entries_that_fit(4096, 12, false) == 102);
    CHECK(entries_that_fit(4096, 12, true) == 24);
}

TEST_CASE("forgets fill the read buffer", "[unit]") {
    CHECK(forgets_that_fit(0x21000) == 8445);
    CHECK(forgets_that_fit((1U << 20U) + 4096) == 65789);
}

TEST_CASE("extensions and notifications", "[unit]") {
    // "security.selinux" with a label of 29 bytes: 8 + align8(8 + 17 + 29)
    CHECK(security_context_bytes(16, 29) == 64);
    CHECK(request_bytes(Opcode::mkdir, 38, {.name = 3, .extensions = 64}) == 40 + 8 + 4 + 64);
    CHECK(supplementary_groups_bytes == 16);
    CHECK(notification_bytes(Notification::poll) == 16 + size_of("fuse_notify_poll_wakeup_out"));
    CHECK(notification_bytes(Notification::inval_inode) ==
          16 + size_of("fuse_notify_inval_inode_out"));
    CHECK(notification_bytes(Notification::inval_entry, {.name = 4}) ==
          16 + size_of("fuse_notify_inval_entry_out") + 5);
    CHECK(notification_bytes(Notification::remove, {.name = 4}) ==
          16 + size_of("fuse_notify_delete_out") + 5);
    CHECK(notification_bytes(Notification::store, {.data = 4096}) ==
          16 + size_of("fuse_notify_store_out") + 4096);
    CHECK(notification_bytes(Notification::retrieve) == 16 + size_of("fuse_notify_retrieve_out"));
    CHECK(notification_bytes(Notification::prune, {.nodes = 3}) ==
          16 + size_of("fuse_notify_prune_out") + 24);
    CHECK(notification_bytes(Notification::resend) == 16);
    CHECK(notification_bytes(Notification::inc_epoch) == 16);
}

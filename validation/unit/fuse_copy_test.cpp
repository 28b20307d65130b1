#include "fuse/copy.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

using namespace fusesim::fuse;

namespace {

/// Counts by walking every byte border: slow, and nothing to get wrong.
CopyShape walked(const MessageParts& parts, const UserBuffer& buffer) {
    struct Byte {
        std::uint64_t user;    // page and buffer it is in
        std::uint64_t kernel;  // part, and page of that part
    };

    std::vector<Byte> bytes;
    const auto user_of = [&](std::uint32_t i) -> std::uint64_t {
        if (buffer.first_bytes == 0 || i < buffer.first_bytes) {
            return (buffer.offset + i) / 4096;
        }
        return 1'000'000U + (buffer.second_offset + i - buffer.first_bytes) / 4096;
    };
    for (std::size_t part = 0; part < parts.arguments(); ++part) {
        for (std::uint32_t i = 0; i < parts.argument(part); ++i) {
            bytes.push_back({user_of(static_cast<std::uint32_t>(bytes.size())), part << 32U});
        }
    }
    for (std::uint32_t i = 0; i < parts.page_bytes(); ++i) {
        bytes.push_back({user_of(static_cast<std::uint32_t>(bytes.size())),
                         (99ULL << 32U) + (parts.page_offset() + i) / 4096});
    }
    CopyShape shape;
    shape.bytes = static_cast<std::uint32_t>(bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const bool user = i == 0 || bytes[i].user != bytes[i - 1].user;
        const bool kernel = i == 0 || bytes[i].kernel != bytes[i - 1].kernel;
        shape.user_pages += user ? 1 : 0;
        shape.runs += user || kernel ? 1 : 0;
    }
    return shape;
}

}  // namespace

TEST_CASE("n pages of WRITE are n + 1 user pages and 2n + 2 runs", "[unit]") {
    for (const std::uint32_t n : {1U, 2U, 32U, 256U}) {
        const MessageParts parts = request_parts(Opcode::write, 38, RequestShape{.data = n * 4096});
        CHECK(copy_shape(parts) == CopyShape{n + 1, 2 * n + 2, 80 + n * 4096});
    }
}

TEST_CASE("the parts of a message add up to its length", "[unit]") {
    const RequestShape shape{
        .name = 7, .name2 = 9, .data = 5000, .entries = 3, .extensions = 64, .setxattr_ext = true};
    for (const OpcodeInfo& entry : opcodes()) {
        CAPTURE(entry.name);
        const std::uint32_t bytes = request_bytes(entry.opcode, 38, shape);
        CHECK(request_parts(entry.opcode, 38, shape).bytes() == bytes);
        CHECK(request_parts(entry.opcode, 38, bytes).bytes() == bytes);
        if (entry.expects_reply) {
            const std::uint32_t reply = reply_bytes(entry.opcode, 38, {.data = 5000});
            CHECK(reply_parts(entry.opcode, reply).bytes() == reply);
            CHECK(reply_parts(entry.opcode, 16).bytes() == 16);
        }
    }
}

TEST_CASE("a length shorter than the fixed arguments is still copied whole", "[unit]") {
    for (const std::uint32_t bytes : {1U, 16U, 39U, 40U, 41U, 56U}) {
        CHECK(request_parts(Opcode::setattr, 38, bytes).bytes() == bytes);
        CHECK(reply_parts(Opcode::getattr, bytes).bytes() == bytes);
    }
}

TEST_CASE("a READ reply by writev takes a user page for the header", "[unit]") {
    CHECK(copy_shape(reply_parts(Opcode::read, 16 + 4096), header_and_data) ==
          CopyShape{2, 2, 4112});
    // From one buffer the data are shifted by the header: each page needs two runs.
    CHECK(copy_shape(reply_parts(Opcode::read, 16 + 8192)) == CopyShape{3, 5, 8208});
    CHECK(copy_shape(reply_parts(Opcode::create, 160), header_and_data) == CopyShape{2, 3, 160});
    CHECK(copy_shape(reply_parts(Opcode::getattr, 16)) == CopyShape{1, 1, 16});
}

TEST_CASE("counting by formula and by walking is the same", "[unit]") {
    std::mt19937 random(7);
    const auto below = [&](std::uint32_t limit) -> std::uint32_t {
        return static_cast<std::uint32_t>(random() % limit);
    };
    for (int round = 0; round < 400; ++round) {
        MessageParts parts;
        for (std::uint32_t i = below(4) + 1; i > 0; --i) {
            parts.add_argument(below(3) == 0 ? below(6000) : below(60) + 1);
        }
        if (below(2) == 0) {
            parts.set_pages(below(20000), below(2) * below(4096));
        }
        UserBuffer buffer{below(2) * below(4096), 0, 0};
        if (below(2) == 0) {
            buffer.first_bytes = below(100) + 1;
            buffer.second_offset = below(4096);
        }
        CAPTURE(round, parts.bytes(), buffer.offset, buffer.first_bytes);
        CHECK(copy_shape(parts, buffer) == walked(parts, buffer));
    }
}

TEST_CASE("a short READ leaves pages to clear", "[unit]") {
    CHECK(cleared_pages(8192, 8192) == 0);
    CHECK(cleared_pages(8192, 4096) == 1);
    CHECK(cleared_pages(8192, 4095) == 2);
    CHECK(cleared_pages(8192, 0) == 2);
    CHECK(cleared_pages(100, 50) == 1);
}

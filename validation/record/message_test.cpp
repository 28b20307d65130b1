#include "message.h"

#include <catch2/catch.hpp>
#include <linux/fuse.h>

#include <cstring>
#include <string>
#include <vector>

using namespace fusesim;

namespace {

/// A message as the kernel would put it into the daemon's buffer.
class Message {
  public:
    Message(std::uint32_t opcode, std::uint64_t unique) {
        fuse_in_header header{};
        header.opcode = opcode;
        header.unique = unique;
        header.nodeid = 77;
        header.pid = 4321;
        append(&header, sizeof header);
    }

    template <typename Struct>
    Message& with(const Struct& arguments) {
        append(&arguments, sizeof arguments);
        return *this;
    }

    Message& with(const std::string& name) {
        append(name.c_str(), name.size() + 1);
        return *this;
    }

    trace::Record read(std::size_t kept = ~std::size_t{0}) const {
        std::vector<std::byte> bytes = bytes_;
        const auto len = static_cast<std::uint32_t>(bytes.size());
        std::memcpy(bytes.data(), &len, sizeof len);
        bytes.resize(std::min(kept, bytes.size()));
        trace::Record record;
        REQUIRE(record::read_message(bytes, record));
        return record;
    }

  private:
    void append(const void* data, std::size_t size) {
        const std::size_t before = bytes_.size();
        bytes_.resize(before + size);
        std::memcpy(bytes_.data() + before, data, size);
    }

    std::vector<std::byte> bytes_;
};

}  // namespace

TEST_CASE("every message tells its header") {
    const trace::Record record = Message(FUSE_STATFS, 12).read();
    CHECK(record.opcode == FUSE_STATFS);
    CHECK(record.unique == 12);
    CHECK(record.nodeid == 77);
    CHECK(record.pid == 4321);
    CHECK(record.bytes_in == sizeof(fuse_in_header));
}

TEST_CASE("less than a header is refused and leaves the record alone") {
    trace::Record record;
    record.opcode = 5;
    CHECK_FALSE(record::read_message(std::vector<std::byte>(39), record));
    CHECK(record.opcode == 5);
}

TEST_CASE("READ and WRITE tell file handle, offset and size") {
    fuse_read_in read{};
    read.fh = 9;
    read.offset = 1'234'567'890'123;
    read.size = 131'072;
    const trace::Record reading = Message(FUSE_READ, 2).with(read).read();
    CHECK(reading.fh == 9);
    CHECK(reading.offset == 1'234'567'890'123);
    CHECK(reading.size == 131'072);

    fuse_write_in write{};
    write.fh = 8;
    write.offset = 4'096;
    write.size = 5;
    const trace::Record writing = Message(FUSE_WRITE, 4).with(write).with("data").read();
    CHECK(writing.fh == 8);
    CHECK(writing.offset == 4'096);
    CHECK(writing.size == 5);
    CHECK(writing.bytes_in == 85);
    CHECK(writing.name.empty());
}

TEST_CASE("RENAME2 tells both names") {
    fuse_rename2_in rename{};
    rename.flags = 1;
    const trace::Record record =
        Message(FUSE_RENAME2, 2).with(rename).with("old").with("new").read();
    CHECK(record.name == "old");
    CHECK(record.name2 == "new");
    CHECK(record.flags == 1);
}

TEST_CASE("SYMLINK tells the link and its target") {
    const trace::Record record = Message(FUSE_SYMLINK, 2).with("link").with("../target").read();
    CHECK(record.name == "link");
    CHECK(record.name2 == "../target");
}

TEST_CASE("SETXATTR's name is found with and without the extension") {
    fuse_setxattr_in in{};
    in.size = 3;
    const trace::Record extended = Message(FUSE_SETXATTR, 2).with(in).with("user.a").read();
    CHECK(extended.name == "user.a");
    const std::uint32_t compact[2] = {3, 0};
    const trace::Record old = Message(FUSE_SETXATTR, 2).with(compact).with("user.a").read();
    CHECK(old.name == "user.a");
    CHECK(old.size == 3);
}

TEST_CASE("FORGET tells lookups, BATCH_FORGET entries, INTERRUPT its victim") {
    fuse_forget_in forget{};
    forget.nlookup = 5;
    CHECK(Message(FUSE_FORGET, 2).with(forget).read().size == 5);
    fuse_batch_forget_in batch{};
    batch.count = 17;
    CHECK(Message(FUSE_BATCH_FORGET, 4).with(batch).read().size == 17);
    fuse_interrupt_in interrupt{};
    interrupt.unique = 0x1'0000'0042;
    CHECK(Message(FUSE_INTERRUPT, 0x43).with(interrupt).read().flags == 0x42);
}

TEST_CASE("arguments that were not kept read as zero or as nothing") {
    fuse_create_in create{};
    create.flags = 2;
    const Message message = Message(FUSE_CREATE, 2).with(create).with("long_name");
    CHECK(message.read(40).name.empty());
    CHECK(message.read(40 + sizeof create + 4).name == "long");
    CHECK(message.read().name == "long_name");
}

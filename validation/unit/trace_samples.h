#pragma once

#include "trace/reader.h"
#include "trace/writer.h"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

/// A file name of its own, removed at the end of the test.
class ScratchFile {
  public:
    explicit ScratchFile(const std::string& ending = "trace") {
        const char* const directory = std::getenv("TMPDIR");
        path_ =
            std::string(directory == nullptr ? "/tmp" : directory) + "/fusesim-XXXXXX." + ending;
        const int fd = mkstemps(path_.data(), static_cast<int>(ending.size()) + 1);
        REQUIRE(fd >= 0);
        close(fd);
    }

    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;

    ~ScratchFile() { std::remove(path_.c_str()); }

    const std::string& path() const { return path_; }

    void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

    std::string read() const {
        std::ifstream file(path_, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }

  private:
    std::string path_;
};

inline std::vector<fusesim::trace::Record> read_all(fusesim::trace::Reader& reader) {
    std::vector<fusesim::trace::Record> records;
    fusesim::trace::Record record;
    while (reader.next(record)) {
        records.push_back(record);
    }
    return records;
}

inline bool same(const fusesim::trace::Record& a, const fusesim::trace::Record& b) {
    bool equal = true;
    for (const fusesim::trace::Column column : fusesim::trace::all_columns) {
        fusesim::trace::visit(column, a, [&](const auto& left) {
            fusesim::trace::visit(column, b, [&](const auto& right) {
                if constexpr (std::is_same_v<decltype(left), decltype(right)>) {
                    equal = equal && left == right;
                }
            });
        });
    }
    return equal;
}

/// Records that use every column, with unknown times, odd names and extreme numbers among them.
inline std::vector<fusesim::trace::Record> sample_records(std::size_t count) {
    using fusesim::trace::Record;
    using fusesim::trace::unknown_time;
    std::vector<Record> records;
    std::uint64_t state = 12345;
    const auto draw = [&state](std::uint64_t limit) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return (state >> 33) % limit;
    };
    const std::string odd_names[] = {
        "a b", "-", "#x", "end:", "100%", "\xff\xfe", "n\nl", "caf\xc3\xa9"};
    std::int64_t now = 0;
    for (std::size_t i = 0; i < count; ++i) {
        Record record;
        record.opcode = i % 97 == 0 ? 999 : static_cast<std::uint32_t>(1 + draw(50));
        record.unique = 2 * i + 2;
        record.nodeid = i % 11 == 0 ? ~std::uint64_t{0} : 0x7f0000000000 + draw(40) * 64;
        record.error = i % 5 == 0 ? -static_cast<std::int32_t>(draw(133)) : 0;
        record.fh = draw(4);
        record.offset = draw(1'000'000) * 4096;
        record.size = draw(2) == 0 ? 4096 : 131072;
        record.flags = static_cast<std::uint32_t>(draw(1) << 31 | draw(100000));
        record.bytes_in = 80;
        record.bytes_out = static_cast<std::uint32_t>(16 + draw(4096));
        if (i % 3 == 0) {
            record.name = i % 9 == 0 ? odd_names[draw(8)] : "file-" + std::to_string(draw(200));
            record.name2 = i % 27 == 0 ? "other/" + record.name : "";
        }
        record.pid = static_cast<std::uint32_t>(1000 + draw(3));
        record.caller = record.pid;
        record.worker = static_cast<std::uint32_t>(2000 + draw(3));
        record.caller_cpu = static_cast<std::int16_t>(draw(3)) - 1;
        record.worker_cpu = static_cast<std::int16_t>(draw(500));
        record.background = draw(4) == 0;
        now += static_cast<std::int64_t>(draw(20'000));
        record.queued = now;
        record.taken =
            i % 13 == 0 ? unknown_time : now + 100 + static_cast<std::int64_t>(draw(9000));
        const std::int64_t from = record.taken == unknown_time ? now : record.taken;
        record.replied =
            i % 17 == 0 ? unknown_time : from + static_cast<std::int64_t>(draw(1 << 20));
        record.ended = std::max(from, record.replied) + static_cast<std::int64_t>(draw(300));
        record.resumed = record.background ? unknown_time : record.ended + 1;
        record.think_cpu = i % 2 == 0 ? static_cast<std::int64_t>(draw(5000)) : unknown_time;
        record.think_blocked = static_cast<std::int64_t>(draw(2));
        record.service_cpu = static_cast<std::int64_t>(draw(8000));
        record.service_blocked = 0;
        records.push_back(record);
    }
    return records;
}

inline fusesim::trace::Header sample_header() {
    fusesim::trace::Header header;
    header.tool = "test 1";
    header.kernel = "6.18.0";
    header.clock = "monotonic";
    header.started = "2026-01-02T03:04:05Z";
    header.cpus = 2;
    header.protocol_minor = 45;
    header.lost = 3;
    header.facts = {{"mount.fstype", "fuse.bindfs"}, {"odd: key", "100 %\nnext line"}};
    return header;
}

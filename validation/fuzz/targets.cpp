#include "targets.h"

#include "config/document.h"
#include "config/error.h"
#include "config/map.h"
#include "message.h"
#include "report/report.h"
#include "system/scenario.h"
#include "trace/import.h"
#include "trace/reader.h"
#include "trace/writer.h"
#include "workload/fio_job.h"

#include <systemc>

#include <nlohmann/json.hpp>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <stdexcept>
#include <system_error>

namespace fusesim::fuzz {

namespace {

/// A file in memory, with a path: readers take paths.
class MemoryFile {
  public:
    explicit MemoryFile(std::string_view bytes) : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
        if (fd_ < 0 || write(fd_, bytes.data(), bytes.size()) != ssize_t(bytes.size())) {
            throw std::system_error(errno, std::generic_category(), "file in memory");
        }
    }

    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    ~MemoryFile() { close(fd_); }

    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

    std::string bytes() const {
        std::string all(static_cast<std::size_t>(lseek(fd_, 0, SEEK_END)), '\0');
        all.resize(
            static_cast<std::size_t>(std::max<ssize_t>(0, pread(fd_, all.data(), all.size(), 0))));
        return all;
    }

  private:
    int fd_;
};

void read_trace(const std::string& path) {
    for (const bool lenient : {false, true}) {
        try {
            trace::Reader reader(path, {lenient});
            trace::Record record;
            while (reader.next(record)) {
            }
        } catch (const config::Error&) {
        }
    }
}

template <class Number>
Number number_at(const std::string& bytes, std::size_t at) {
    Number value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

template <class Number>
std::string bytes_of(Number value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// A binary trace of one block with `contents`, all lengths and checksums right: else no damage to
/// a block would ever get past its checksum.
std::string trace_of_block(std::string_view contents, std::uint32_t records) {
    static const std::string empty = [] {
        const MemoryFile file("");
        trace::Writer writer(file.path(), trace::Header{});
        writer.add(trace::Record{});
        writer.finish();
        return file.bytes();
    }();
    constexpr std::size_t mark_bytes = 32;
    constexpr std::size_t footer_bytes = 16;
    const std::size_t block = 24 + number_at<std::uint32_t>(empty, 12);
    const std::size_t end = block + mark_bytes + number_at<std::uint32_t>(empty, block + 8);
    std::string stored(ZSTD_compressBound(contents.size()), '\0');
    stored.resize(ZSTD_compress(stored.data(), stored.size(), contents.data(), contents.size(), 1));
    std::string mark = "BLCK" + bytes_of(records) + bytes_of(std::uint32_t(stored.size())) +
                       bytes_of(std::uint32_t(contents.size())) + bytes_of(std::uint64_t{0});
    mark += bytes_of(XXH64(stored.data(), stored.size(), XXH64(mark.data(), mark.size(), 0)));
    const std::string tail = empty.substr(end, empty.size() - end - footer_bytes);
    return empty.substr(0, block) + mark + stored + tail +
           bytes_of(std::uint64_t(block + mark.size() + stored.size())) + "FSTEND\r\n";
}

// Its first two bytes are the number of records that the block says it holds.
void read_block(std::string_view bytes) {
    if (bytes.size() < 2) {
        return;
    }
    const auto records = number_at<std::uint16_t>(std::string(bytes.substr(0, 2)), 0);
    const MemoryFile file(trace_of_block(bytes.substr(2), records));
    read_trace(file.path());
}

// A Writer takes each record: what it refuses, no trace may hold.
void import(const trace::Importer& importer, std::string_view bytes) {
    const MemoryFile file(bytes);
    for (const bool lenient : {false, true}) {
        trace::ImportOptions options;
        options.lenient = lenient;
        options.working_directory = "/srv/lab";
        if (importer.name == "csv") {
            options.columns = "ts:us,op,name,offset,size";
        }
        trace::Header header;
        std::optional<trace::Writer> writer;
        try {
            trace::ByteSource source(file.path(), lenient);
            trace::recognise(source);
            importer.run(
                source,
                header,
                [&](const trace::Record& record) {
                    if (!writer) {
                        writer.emplace("/dev/null",
                                       header,
                                       trace::WriteOptions{trace::Form::text, 3, importer.columns});
                    }
                    writer->add(record);
                },
                options);
        } catch (const config::Error&) {
        }
    }
}

void read_scenario(std::string_view bytes) {
    try {
        config::LoadOptions options;
        options.root = "/proc/self/fdinfo";  // nothing to include there
        const auto document =
            config::Document::parse(std::string(bytes), "/proc/self/fdinfo/fuzz.yaml", options);
        config::echo(config::read<system::Scenario>(document)).dump();
    } catch (const config::Error&) {
    }
}

void read_result(std::string_view bytes) {
    const MemoryFile file(bytes);
    try {
        const report::Result result = report::load(file.path());
        report::text(result);
        report::json_text(result);
    } catch (const config::Error&) {
    }
}

void read_job(std::string_view bytes) {
    const MemoryFile file(bytes);
    for (const char* section : {"", "job"}) {
        try {
            workload::read_fio_job(file.path(), section);
        } catch (const config::Error&) {
        }
    }
}

void read_message(std::string_view bytes) {
    trace::Record record;
    record::read_message(std::as_bytes(std::span(bytes.data(), bytes.size())), record);
}

}  // namespace

const std::vector<Target>& targets() {
    static const std::vector<Target> all = [] {
        std::vector<Target> list = {
            {"trace",
             [](std::string_view bytes) {
                 const MemoryFile file(bytes);
                 read_trace(file.path());
             }},
            {"trace-block", read_block},
            {"scenario", read_scenario},
            {"result", read_result},
            {"fio-job", read_job},
            {"message", read_message},
        };
        for (const trace::Importer& importer : trace::importers()) {
            list.push_back({"import-" + std::string(importer.name),
                            [&importer](std::string_view bytes) { import(importer, bytes); }});
        }
        return list;
    }();
    return all;
}

const Target* find_target(std::string_view name) {
    const auto found = std::find_if(targets().begin(),
                                    targets().end(),
                                    [name](const Target& target) { return target.name == name; });
    return found == targets().end() ? nullptr : &*found;
}

}  // namespace fusesim::fuzz

/// SystemC's library wants one, and nobody calls it.
int sc_main(int, char**) {
    return 0;
}

#include "config/error.h"
#include "trace_samples.h"

#include <catch2/catch.hpp>
#include <xxhash.h>
#include <zstd.h>

#include <cstring>

using namespace fusesim::trace;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

std::string binary_trace(const std::vector<Record>& records) {
    const ScratchFile file;
    Writer writer(file.path(), sample_header());
    for (const Record& record : records) {
        writer.add(record);
    }
    writer.finish();
    return file.read();
}

struct Outcome {
    std::string error = "fine";
    std::size_t records = 0;
    std::vector<std::string> warnings;
};

Outcome outcome_of(const std::string& bytes, bool lenient = false) {
    const ScratchFile file;
    file.write(bytes);
    Outcome outcome;
    try {
        Reader reader(file.path(), {lenient});
        Record record;
        while (reader.next(record)) {
            ++outcome.records;
        }
        outcome.warnings = reader.warnings();
    } catch (const fusesim::config::Error& error) {
        const std::string text = error.what();
        REQUIRE_THAT(text, StartsWith(file.path() + ":byte "));
        outcome.error = text.substr(file.path().size() + 1);
    }
    return outcome;
}

template <class Number>
Number number_at(const std::string& bytes, std::size_t at) {
    Number value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

std::string bytes_of(std::uint64_t value, std::size_t size) {
    return std::string(reinterpret_cast<const char*>(&value), size);
}

std::size_t first_block(const std::string& trace) {
    return 24 + number_at<std::uint32_t>(trace, 12);
}

std::string raw_block(const std::string& trace) {
    const std::size_t at = first_block(trace);
    std::string raw(number_at<std::uint32_t>(trace, at + 12), '\0');
    const std::size_t got = ZSTD_decompress(
        raw.data(), raw.size(), trace.data() + at + 32, number_at<std::uint32_t>(trace, at + 8));
    REQUIRE(got == raw.size());
    return raw;
}

/// The trace with its first and only block's contents replaced, all lengths and checksums right.
std::string with_block(const std::string& trace, const std::string& raw, std::uint32_t count) {
    const std::size_t at = first_block(trace);
    const std::size_t end = at + 32 + number_at<std::uint32_t>(trace, at + 8);
    std::string stored(ZSTD_compressBound(raw.size()), '\0');
    stored.resize(ZSTD_compress(stored.data(), stored.size(), raw.data(), raw.size(), 1));
    std::string mark = "BLCK" + bytes_of(count, 4) + bytes_of(stored.size(), 4) +
                       bytes_of(raw.size(), 4) + bytes_of(0, 8);
    mark += bytes_of(XXH64(stored.data(), stored.size(), XXH64(mark.data(), 24, 0)), 8);
    std::string tail = trace.substr(end, trace.size() - end - 16);
    return trace.substr(0, at) + mark + stored + tail +
           bytes_of(at + mark.size() + stored.size(), 8) + "FSTEND\r\n";
}

}  // namespace

TEST_CASE("a binary trace gives back every record and the whole header", "[unit]") {
    const std::size_t count = GENERATE(0, 1, 2, 100, 4096, 4097, 10'000);
    const ScratchFile file;
    const std::vector<Record> records = sample_records(count);
    Writer writer(file.path(), sample_header());
    for (const Record& record : records) {
        writer.add(record);
    }
    writer.header().lost = 17;
    writer.header().facts.emplace_back("overhead", "3 %");
    writer.finish();

    Reader reader(file.path());
    CHECK(reader.expected_records() == count);
    CHECK(reader.header().lost == 17);
    CHECK(reader.header().started == sample_header().started);
    REQUIRE(reader.header().facts.size() == 3);
    CHECK(reader.header().facts[2].second == "3 %");
    const std::vector<Record> read = read_all(reader);
    REQUIRE(read.size() == count);
    std::size_t different = 0;
    for (std::size_t i = 0; i < count; ++i) {
        different += same(read[i], records[i]) ? 0 : 1;
    }
    CHECK(different == 0);
    CHECK(reader.content_hash() == writer.content_hash());
}

TEST_CASE("text and binary traces of the same records have the same content hash", "[unit]") {
    const std::vector<Record> records = sample_records(5000);
    const ScratchFile text;
    const ScratchFile binary;
    Writer text_writer(text.path(), sample_header(), {Form::text});
    Writer binary_writer(binary.path(), {});
    for (const Record& record : records) {
        text_writer.add(record);
        binary_writer.add(record);
    }
    text_writer.finish();
    binary_writer.finish();
    Reader text_reader(text.path());
    Reader binary_reader(binary.path());
    read_all(text_reader);
    read_all(binary_reader);
    REQUIRE(text_reader.content_hash().has_value());
    CHECK(text_reader.content_hash() == binary_reader.content_hash());

    SECTION("and another hash once one record differs") {
        std::vector<Record> changed = records;
        changed[4000].name2 += "x";
        Writer other(text.path(), sample_header(), {Form::text});
        for (const Record& record : changed) {
            other.add(record);
        }
        CHECK(other.content_hash() != binary_reader.content_hash());
    }
}

TEST_CASE("flushing in between changes the blocks but not the contents", "[unit]") {
    const std::vector<Record> records = sample_records(300);
    const ScratchFile file;
    Writer writer(file.path(), {});
    for (std::size_t i = 0; i < records.size(); ++i) {
        writer.add(records[i]);
        if (i % 70 == 0) {
            writer.flush();
        }
    }
    writer.finish();
    Reader reader(file.path());
    CHECK(read_all(reader).size() == 300);
    const ScratchFile whole;
    whole.write(binary_trace(records));
    Reader other(whole.path());
    read_all(other);
    CHECK(reader.content_hash() == other.content_hash());
}

TEST_CASE("a trace compressed once more with zstd is read all the same", "[unit]") {
    const bool text = GENERATE(false, true);
    const ScratchFile file;
    {
        Writer writer(file.path(), {}, {text ? Form::text : Form::binary});
        for (const Record& record : sample_records(3000)) {
            writer.add(record);
        }
    }
    const std::string bytes = file.read();
    std::string compressed(ZSTD_compressBound(bytes.size()), '\0');
    compressed.resize(
        ZSTD_compress(compressed.data(), compressed.size(), bytes.data(), bytes.size(), 3));
    CHECK(outcome_of(compressed).records == 3000);
    CHECK(outcome_of(compressed.substr(0, compressed.size() / 2)).error != "fine");
    CHECK_THAT(outcome_of(compressed.substr(0, compressed.size() / 2)).error,
               Contains("the compressed file ends in the middle"));
    compressed[compressed.size() / 2] = static_cast<char>(~compressed[compressed.size() / 2]);
    CHECK(outcome_of(compressed).error != "fine");
}

TEST_CASE("a writer that is just dropped leaves a complete trace", "[unit]") {
    const ScratchFile file;
    {
        Writer writer(file.path(), {});
        for (const Record& record : sample_records(5)) {
            writer.add(record);
        }
    }
    Reader reader(file.path());
    CHECK(read_all(reader).size() == 5);
}

TEST_CASE("a binary trace cut off anywhere is noticed", "[unit]") {
    const std::string whole = binary_trace(sample_records(30));
    std::size_t unnoticed = 0;
    for (std::size_t size = 0; size < whole.size(); ++size) {
        unnoticed += outcome_of(whole.substr(0, size)).error == "fine" ? 1 : 0;
    }
    CHECK(unnoticed == 0);
    CHECK_THAT(outcome_of(whole + "x").error, Contains("no end mark"));
}

TEST_CASE("a binary trace with any byte changed is noticed", "[unit]") {
    const std::string whole = binary_trace(sample_records(30));
    std::size_t unnoticed = 0;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
        unnoticed += outcome_of(damaged).error == "fine" ? 1 : 0;
    }
    CHECK(unnoticed == 0);
}

TEST_CASE("a lenient reader takes the complete blocks of a killed recording", "[unit]") {
    const std::string whole = binary_trace(sample_records(10'000));
    const Outcome cut = outcome_of(whole.substr(0, whole.size() - 1000), true);
    CHECK(cut.error == "fine");
    CHECK(cut.records == 8192);
    REQUIRE(cut.warnings.size() == 1);
    CHECK_THAT(cut.warnings[0], Contains("8192 records were read"));
}

TEST_CASE("a block that lies about itself is refused, not believed", "[unit]") {
    const std::string whole = binary_trace(sample_records(200));
    const std::string raw = raw_block(whole);
    REQUIRE(outcome_of(with_block(whole, raw, 200)).error == "fine");

    // Valid checksums around contents gone wrong: must end in an error or in records, never in a
    // crash. The sanitizers of the asan preset watch this test.
    std::uint64_t state = 1;
    std::size_t refused = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string damaged = raw;
        const int changes = 1 + round % 3;
        for (int i = 0; i < changes; ++i) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            damaged[(state >> 33) % damaged.size()] = static_cast<char>(state >> 25);
        }
        if (round % 7 == 0) {
            damaged.resize((state >> 40) % damaged.size());
        }
        refused += outcome_of(with_block(whole, damaged, 200)).error != "fine" ? 1 : 0;
    }
    CHECK(refused > 500);
    CHECK(outcome_of(with_block(whole, raw, 199)).error != "fine");
    CHECK(outcome_of(with_block(whole, raw, 16'384)).error != "fine");
    CHECK_THAT(outcome_of(with_block(whole, raw, 16'385)).error,
               Contains("it claims 16385 records"));
}

TEST_CASE("defects of records in a binary trace name the record and the block", "[unit]") {
    // An encoder that does not check, by way of a block with two records swapped in time.
    Record record;
    record.opcode = 15;
    record.queued = 7;
    const std::string whole = binary_trace({record, record});
    std::string raw = raw_block(whole);
    // Column queued (19): plain, base zigzag(7) = 14, made to step back by 1 from 7.
    const std::string queued = std::string("\x13\x04\x00\x0e\x01\x00", 6);
    const std::size_t at = raw.find(queued);
    REQUIRE(at != std::string::npos);
    const std::string backwards = std::string("\x13\x05\x01\x10\x01\x01\x00", 7);
    raw.replace(at, queued.size(), backwards);
    CHECK_THAT(outcome_of(with_block(whole, raw, 2)).error,
               Contains("record 1: time goes backwards: queued 6 ns after 7 ns"));
}

TEST_CASE("absurd lengths cost an error, not memory", "[unit]") {
    std::string whole = binary_trace(sample_records(10));
    SECTION("header") {
        whole.replace(12, 4, "\xff\xff\xff\x7f");
        CHECK_THAT(outcome_of(whole).error, Contains("the header claims 2147483647 bytes"));
    }
    SECTION("block") {
        whole.replace(first_block(whole) + 8, 8, "\xff\xff\xff\x7f\xff\xff\xff\x7f");
        CHECK_THAT(outcome_of(whole).error, Contains("it claims 10 records"));
    }
    SECTION("version") {
        whole[8] = 2;
        CHECK_THAT(outcome_of(whole).error, Contains("trace version 2 is not supported"));
    }
}

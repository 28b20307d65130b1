#include "config/error.h"
#include "trace_samples.h"

#include <catch2/catch.hpp>

#include <stdexcept>

using namespace fusesim::trace;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

const std::string head =
    "fusesim trace 1\n"
    "layer: fuse\n"
    "columns: queued opcode unique size taken replied ended name\n";

std::string defect_of(const std::string& bytes) {
    const ScratchFile file;
    file.write(bytes);
    try {
        Reader reader(file.path());
        read_all(reader);
    } catch (const fusesim::config::Error& error) {
        const std::string text = error.what();
        REQUIRE_THAT(text, StartsWith(file.path()));
        return text.substr(file.path().size() + 1);
    }
    return "fine";
}

}  // namespace

TEST_CASE("a text trace gives back every record and the whole header", "[unit]") {
    const ScratchFile file;
    const std::vector<Record> records = sample_records(5000);
    const Header header = sample_header();
    Writer writer(file.path(), header, {Form::text});
    for (const Record& record : records) {
        writer.add(record);
    }
    writer.header().lost = 17;
    writer.header().facts.emplace_back("overhead", "3 %");
    writer.finish();

    Reader reader(file.path());
    CHECK(reader.expected_records() == 5000);
    CHECK(reader.header().lost == 17);
    CHECK(reader.header().kernel == header.kernel);
    CHECK(reader.header().clock == header.clock);
    CHECK(reader.header().started == header.started);
    CHECK(reader.header().tool == header.tool);
    CHECK(reader.header().cpus == 2);
    CHECK(reader.header().protocol_minor == 45);
    CHECK_FALSE(reader.header().anonymised);
    REQUIRE(reader.header().facts.size() == 3);
    CHECK(reader.header().facts[1] == header.facts[1]);
    CHECK(reader.header().facts[2].second == "3 %");
    const std::vector<Record> read = read_all(reader);
    REQUIRE(read.size() == records.size());
    std::size_t different = 0;
    for (std::size_t i = 0; i < read.size(); ++i) {
        different += same(read[i], records[i]) ? 0 : 1;
    }
    CHECK(different == 0);
    CHECK(reader.content_hash() == writer.content_hash());
}

TEST_CASE("a text trace is plain ASCII, one line a record", "[unit]") {
    const ScratchFile file;
    Record record;
    record.opcode = 15;
    record.unique = 4;
    record.size = 4096;
    record.queued = 0;
    record.ended = 12000;
    record.name = "a b\xc3\xa9-";
    Writer writer(file.path(),
                  {},
                  {Form::text,
                   3,
                   {Column::queued,
                    Column::opcode,
                    Column::unique,
                    Column::size,
                    Column::taken,
                    Column::ended,
                    Column::name}});
    writer.add(record);
    writer.finish();
    CHECK(file.read() ==
          "fusesim trace 1\n"
          "layer: fuse\n"
          "lost: 0\n"
          "columns: queued opcode unique size taken ended name\n"
          "0 READ 4 4096 - 12000 a%20b%C3%A9-\n"
          "end: 1 records, content " +
              file.read().substr(file.read().size() - 17));
}

TEST_CASE("a text trace may be written by hand: comments, FUSE_ names, no end line", "[unit]") {
    const ScratchFile file;
    file.write(head +
               "# a comment\r\n"
               "\n"
               "0 FUSE_LOOKUP 2 - 5 7 9 x\r\n"
               "10   15 4 4096 - - - -\n");
    Reader reader(file.path());
    const std::vector<Record> records = read_all(reader);
    REQUIRE(records.size() == 2);
    CHECK(records[0].opcode == 1);
    CHECK(records[0].name == "x");
    CHECK(records[1].opcode == 15);
    CHECK(records[1].taken == unknown_time);
    CHECK(reader.content_hash().has_value());
}

TEST_CASE("what a writer refuses leaves the trace whole", "[unit]") {
    const ScratchFile file;
    Writer writer(
        file.path(), {}, {Form::text, 3, {Column::queued, Column::opcode, Column::taken}});
    Record record;
    record.queued = 10;
    writer.add(record);
    record.queued = 5;
    CHECK_THROWS_AS(writer.add(record), std::invalid_argument);
    record.queued = 20;
    record.taken = 19;
    CHECK_THROWS_AS(writer.add(record), std::invalid_argument);
    record.taken = 21;
    record.size = 1;
    CHECK_THROWS_WITH(writer.add(record), Contains("no column size"));
    record.size = 0;
    writer.add(record);
    writer.finish();
    Reader reader(file.path());
    CHECK(read_all(reader).size() == 2);
}

TEST_CASE("each defect of a text trace is told with its place", "[unit]") {
    const std::string line = "0 READ 2 4096 1 2 3 -\n";
    CHECK_THAT(defect_of(""), StartsWith("byte 0: error: the file is empty"));
    CHECK_THAT(defect_of("hello\n"), Contains("not a fusesim trace"));
    CHECK_THAT(defect_of("fusesim trace 2\n"),
               StartsWith("1:15: error: trace version 2 is not supported"));
    CHECK_THAT(defect_of("fusesim trace x\n"), StartsWith("1:15: error: the version"));
    CHECK_THAT(defect_of("fusesim trace 1\nlayer: fuse\n"), Contains("without a columns: line"));
    CHECK_THAT(defect_of("fusesim trace 1\ncolumns: opcode\n"),
               StartsWith("2:1: error: the header does not name the layer"));
    CHECK_THAT(defect_of("fusesim trace 1\nlayer: fsue\n"),
               StartsWith("2:8: error: unknown layer"));
    CHECK_THAT(defect_of("fusesim trace 1\nlayer: block\n"), Contains("reserved"));
    CHECK_THAT(defect_of("fusesim trace 1\nlayer: fuse\nlayer: fuse\n"),
               StartsWith("3:1: error: duplicate key 'layer'"));
    CHECK_THAT(defect_of("fusesim trace 1\nkernell: 6\n"), Contains("did you mean 'kernel'?"));
    CHECK_THAT(defect_of("fusesim trace 1\nlayer: fuse\ncolumns: opcode qeued\n"),
               StartsWith("3:17: error: unknown column 'qeued'\n  hint: did you mean 'queued'?"));
    CHECK_THAT(defect_of("fusesim trace 1\nlayer: fuse\ncolumns: opcode opcode\n"),
               StartsWith("3:17: error: duplicate column"));
    CHECK_THAT(defect_of(head + "0 READ 2 4096 1 2 3\n"),
               StartsWith("4:20: error: the line has fewer"));
    CHECK_THAT(defect_of(head + "0 READ 2 4096 1 2 3 - -\n"),
               StartsWith("4:23: error: the line has more"));
    CHECK_THAT(defect_of(head + "0 REED 2 4096 1 2 3 -\n"),
               StartsWith("4:3: error: unknown opcode"));
    CHECK_THAT(defect_of(head + "0 READ 2 4x 1 2 3 -\n"), StartsWith("4:10: error: size = '4x'"));
    CHECK_THAT(defect_of(head + "0 READ 99999999999999999999 0 1 2 3 -\n"),
               StartsWith("4:8: error: unique ="));
    CHECK_THAT(defect_of(head + "0 READ 2 4096 1 2 3 a%2\n"), StartsWith("4:21: error: a %"));
    CHECK_THAT(defect_of(head + "9 READ 2 4096 - - - -\n" + "8 READ 4 4096 - - - -\n"),
               StartsWith("5:1: error: time goes backwards"));
    CHECK_THAT(defect_of(head + "0 READ 2 4096 5 4 6 -\n"),
               StartsWith("4:17: error: replied at 4 ns, before taken at 5 ns"));
    CHECK_THAT(defect_of(head + "-5 READ 2 4096 - - - -\n"),
               StartsWith("4:1: error: queued = -5 ns is negative"));
    CHECK_THAT(defect_of(head + "0 READ 2 4096 - - 9223372036854775807 -\n"),
               StartsWith("4:19: error: ended = 9223372036854775807 ns is beyond 106 days"));
    CHECK_THAT(defect_of(head + "0 READ 2 0 - - 50 -\n" + "10 READ 2 0 - - 60 -\n"),
               StartsWith("5:9: error: unique 2 is still in flight"));
    CHECK(defect_of(head + "0 READ 2 0 - - 10 -\n" + "10 READ 2 0 - - 60 -\n") == "fine");
    CHECK_THAT(defect_of(head + line + "0 READ 4 4096 1 2 3"),
               Contains("the last line has no line end"));
    CHECK_THAT(defect_of(head + line + "end: 2 records, content 0123456789abcdef\n"),
               StartsWith("5:1: error: the end line counts 2 records, but there are 1"));
    CHECK_THAT(defect_of(head + line + "end: 1 records, content 0123456789abcdef\n"),
               StartsWith("5:1: error: the content hash is "));
    CHECK_THAT(defect_of(head + line + "end: soon\n"), StartsWith("5:1: error: the end line"));
    CHECK_THAT(defect_of(head + std::string(2 << 20, 'x')), Contains("longer than 1 MiB"));
}

TEST_CASE("a lenient reader takes what a cut-off text trace holds, and says so", "[unit]") {
    const ScratchFile file;
    file.write(head + "0 READ 2 4096 1 2 3 -\n0 READ 4 40");
    Reader reader(file.path(), {true});
    CHECK(read_all(reader).size() == 1);
    REQUIRE(reader.warnings().size() == 1);
    CHECK_THAT(reader.warnings()[0], Contains("line 5"));
}

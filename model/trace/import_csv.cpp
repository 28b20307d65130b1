#include "trace/call.h"
#include "trace/foreign.h"
#include "trace/import.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace fusesim::trace {

namespace {

constexpr std::string_view msr_columns = "ts:100ns,disk,disk,op,offset,size,response:100ns";
constexpr std::string_view systor17_columns = "ts:s,response:s,op,disk,offset,size";
constexpr std::string_view alibaba_columns = "disk,op,offset,size,ts:us";
constexpr std::string_view tencent_columns = "ts:s,offset:sectors,size:sectors,op,disk";

// 1970 in units of 100 ns since 1601, which is how Windows counts.
constexpr std::uint64_t filetime_of_1970 = 116'444'736'000'000'000;
constexpr std::uint64_t filetime_unit = 100;
constexpr std::uint64_t sector = 512;

enum class Field : std::uint8_t {
    ignored,
    time,
    response,
    operation,
    offset,
    size,
    disk,
    name,
    caller
};

struct CsvColumn {
    Field field = Field::ignored;
    std::uint64_t unit = 1;  ///< ns, or bytes
};

struct Word {
    std::string_view word;
    Field field;
};

constexpr Word words[] = {
    {"-", Field::ignored},
    {"ts", Field::time},
    {"response", Field::response},
    {"op", Field::operation},
    {"offset", Field::offset},
    {"size", Field::size},
    {"disk", Field::disk},
    {"name", Field::name},
    {"caller", Field::caller},
};

struct Unit {
    std::string_view word;
    std::uint64_t value;
    bool of_time;
};

constexpr Unit units[] = {
    {"s", 1'000'000'000, true},
    {"ms", 1'000'000, true},
    {"us", 1'000, true},
    {"100ns", filetime_unit, true},
    {"ns", 1, true},
    {"bytes", 1, false},
    {"sectors", sector, false},
    {"KiB", 1024, false},
};

[[noreturn]] void refuse_columns(const std::string& message) {
    throw config::Error({"--columns"},
                        message,
                        "known: ts:UNIT, response:UNIT (s, ms, us, ns, 100ns), op, offset, size "
                        "(:bytes, :sectors, :KiB), disk, name, caller, - for any other");
}

std::vector<CsvColumn> parse_columns(std::string_view text) {
    if (text.empty()) {
        refuse_columns("what the columns of a csv file are must be told");
    }
    std::vector<CsvColumn> columns;
    while (true) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const std::string_view whole = text.substr(0, comma);
        const std::size_t colon = std::min(whole.find(':'), whole.size());
        const std::string_view name = whole.substr(0, colon);
        const auto* const word =
            std::find_if(std::begin(words), std::end(words), [name](const Word& each) {
                return each.word == name;
            });
        if (word == std::end(words)) {
            refuse_columns(fmt::format("unknown column '{}'", name.substr(0, 40)));
        }
        const bool of_time = word->field == Field::time || word->field == Field::response;
        const bool of_bytes = word->field == Field::offset || word->field == Field::size;
        CsvColumn column{word->field, 1};
        if (colon < whole.size()) {
            const std::string_view unit = whole.substr(colon + 1);
            const auto* const known =
                std::find_if(std::begin(units), std::end(units), [unit, of_time](const Unit& each) {
                    return each.word == unit && each.of_time == of_time;
                });
            if (known == std::end(units) || !(of_time || of_bytes)) {
                refuse_columns(fmt::format("unit '{}' does not fit {}", unit.substr(0, 40), name));
            }
            column.unit = known->value;
        } else if (of_time) {
            refuse_columns(fmt::format("{} needs a unit", name));
        }
        columns.push_back(column);
        if (comma == text.size()) {
            break;
        }
        text.remove_prefix(comma + 1);
    }
    for (const Field needed : {Field::operation, Field::offset, Field::size}) {
        const auto count =
            std::count_if(columns.begin(), columns.end(), [needed](const CsvColumn& c) {
                return c.field == needed;
            });
        if (count != 1) {
            refuse_columns("op, offset and size are needed, each once");
        }
    }
    return columns;
}

/// Reads lines of fields: block traces, and whatever else has an operation, an offset and a size.
class CsvImport {
  public:
    CsvImport(ByteSource& source,
              Header& header,
              const Sink& sink,
              const ImportOptions& options,
              std::string_view format,
              std::string_view columns)
        : import_(source, header, sink, options, Layer::syscall, format),
          columns_(parse_columns(columns)),
          files_(import_, has(Field::name) ? O_RDWR : O_RDWR | O_DIRECT),
          sorter_([this](Record record) { files_.hand_on(std::move(record)); }) {
        import_.fact("columns", std::string(columns));
    }

    ImportReport run();

  private:
    void split(std::string_view line);
    void take();
    bool take_time(std::string_view text, std::uint64_t unit, bool date, std::int64_t& time);
    static bool take_operation(std::string_view text, Record& record);

    bool has(Field field) const {
        return std::any_of(columns_.begin(), columns_.end(), [field](const CsvColumn& column) {
            return column.field == field;
        });
    }

    foreign::Import import_;
    std::vector<CsvColumn> columns_;
    foreign::OpenedFiles files_;
    foreign::Sorter sorter_;
    char delimiter_ = '\0';
    std::vector<std::string_view> fields_;
};

void CsvImport::split(std::string_view line) {
    if (delimiter_ == '\0') {
        const std::size_t at = line.find_first_of(",;\t");
        delimiter_ = at != std::string_view::npos ? line[at] : ' ';
    }
    fields_.clear();
    while (true) {
        if (delimiter_ == ' ') {
            foreign::skip_blanks(line);
        }
        const std::size_t end = std::min(line.find(delimiter_), line.size());
        std::string_view field = line.substr(0, end);
        foreign::skip_blanks(field);
        field = field.substr(0, field.find_last_not_of(" \t") + 1);
        if (field.size() >= 2 && field.front() == '"' && field.back() == '"') {
            field = field.substr(1, field.size() - 2);
        }
        fields_.push_back(field);
        if (end == line.size()) {
            return;
        }
        line.remove_prefix(end + 1);
    }
}

bool CsvImport::take_time(std::string_view text,
                          std::uint64_t unit,
                          bool date,
                          std::int64_t& time) {
    std::uint64_t whole = 0;
    if (!foreign::take_number(text, whole)) {
        return false;
    }
    if (date && unit == filetime_unit && whole >= filetime_of_1970) {
        whole -= filetime_of_1970;
    }
    constexpr std::uint64_t largest = 9'000'000'000'000'000'000;
    if (whole > largest / unit) {
        return false;
    }
    std::uint64_t ns = whole * unit;
    if (foreign::take_word(text, ".")) {
        std::uint64_t digit_value = unit;
        while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
            digit_value /= 10;
            ns += static_cast<std::uint64_t>(text.front() - '0') * digit_value;
            text.remove_prefix(1);
        }
    }
    time = static_cast<std::int64_t>(ns);
    return text.empty();
}

bool CsvImport::take_operation(std::string_view text, Record& record) {
    const char first = text.empty() ? '\0' : text.front();
    switch (first) {
        case 'r':
        case 'R':
        case '0':
            record.opcode = static_cast<std::uint32_t>(Call::read);
            return true;
        case 'w':
        case 'W':
        case '1':
            record.opcode = static_cast<std::uint32_t>(Call::write);
            return true;
        case 'f':
        case 'F':
            record.opcode = static_cast<std::uint32_t>(Call::fdatasync);
            return true;
        case 'd':
        case 'D':
        case 't':
        case 'T':
            record.opcode = static_cast<std::uint32_t>(Call::fallocate);
            record.flags = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
            return true;
        default:
            return false;
    }
}

void CsvImport::take() {
    if (fields_.size() != columns_.size()) {
        import_.unknown(fmt::format("{} fields instead of {}", fields_.size(), columns_.size()));
        return;
    }
    Record record;
    std::string disk;
    std::int64_t response = -1;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
        const CsvColumn& column = columns_[i];
        std::string_view field = fields_[i];
        std::uint64_t number = 0;
        switch (column.field) {
            case Field::ignored:
                break;
            case Field::time:
                if (!take_time(field, column.unit, true, record.queued)) {
                    import_.unknown("malformed time");
                    return;
                }
                break;
            case Field::response:
                if (!take_time(field, column.unit, false, response)) {
                    response = -1;
                }
                break;
            case Field::operation:
                if (field.empty()) {
                    import_.leave_out("without a kind of operation");
                    return;
                }
                if (!take_operation(field, record)) {
                    import_.unknown("unknown operation");
                    return;
                }
                break;
            case Field::offset:
            case Field::size:
                if (!foreign::take_number(field, number) || !field.empty() ||
                    number > std::numeric_limits<std::int64_t>::max() / column.unit) {
                    import_.unknown("malformed offset or size");
                    return;
                }
                (column.field == Field::offset ? record.offset : record.size) =
                    number * column.unit;
                break;
            case Field::disk:
                disk += (disk.empty() ? "" : "-") + std::string(field);
                break;
            case Field::name:
                record.name = foreign::path_below(import_.options().mount, field);
                if (record.name.empty()) {
                    import_.leave_out("outside the mount");
                    return;
                }
                break;
            case Field::caller:
                if (!foreign::take_number(field, number) || number > foreign::largest_u32) {
                    import_.unknown("malformed caller");
                    return;
                }
                record.caller = static_cast<std::uint32_t>(number);
                break;
        }
    }
    if (record.name.empty()) {
        std::replace(disk.begin(), disk.end(), '/', '_');
        record.name = disk.empty() ? "/disk" : "/disk-" + disk;
    }
    if (record.queued != unknown_time && response >= 0) {
        record.ended = record.queued + std::min(response, time_limit);
    }
    sorter_.add(std::move(record));
}

ImportReport CsvImport::run() {
    import_.header().clock = has(Field::time) ? "csv" : "none";
    if (!has(Field::name)) {
        import_.fact("block", std::string(foreign::disk_as_file));
    }
    import_.fact("missing",
                 "opening and closing (each file is opened before its first request), processes");
    std::string_view line;
    bool first = true;
    while (import_.next(line)) {
        if (line.empty() || line.front() == '#') {
            continue;
        }
        split(line);
        const bool header =
            std::exchange(first, false) &&
            std::none_of(fields_.begin(), fields_.end(), [](std::string_view field) {
                return !field.empty() && field.front() >= '0' && field.front() <= '9';
            });
        if (header) {
            import_.leave_out("header line");
            continue;
        }
        take();
    }
    sorter_.finish();
    return import_.finish("no request in the whole file", "are the columns those of --columns?");
}

std::vector<std::string_view> first_fields(std::string_view begin) {
    std::string_view line = begin.substr(0, begin.find('\n'));
    std::vector<std::string_view> fields;
    while (fields.size() < 10) {
        const std::size_t comma = std::min(line.find(','), line.size());
        fields.push_back(line.substr(0, comma));
        if (comma == line.size()) {
            break;
        }
        line.remove_prefix(comma + 1);
    }
    return fields;
}

bool is_number(std::string_view text, std::size_t at_least) {
    return text.size() >= at_least &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

bool looks_like_msr(std::string_view begin) {
    const auto fields = first_fields(begin);
    return fields.size() == 7 && is_number(fields[0], 17) && is_number(fields[2], 1) &&
           (fields[3] == "Read" || fields[3] == "Write") && is_number(fields[4], 1);
}

bool looks_like_systor17(std::string_view begin) {
    return begin.starts_with("Timestamp,Response,IOType,LUN,Offset,Size");
}

bool looks_like_alibaba(std::string_view begin) {
    const auto fields = first_fields(begin);
    return fields.size() == 5 && is_number(fields[0], 1) &&
           (fields[1] == "R" || fields[1] == "W") && is_number(fields[2], 1) &&
           is_number(fields[3], 1) && fields[4].size() >= 15;
}

bool looks_like_tencent(std::string_view begin) {
    const auto fields = first_fields(begin);
    constexpr std::size_t digits_of_seconds = 10;  // since 1970, from 2001 to 2286
    return fields.size() == 5 && is_number(fields[0], digits_of_seconds) &&
           fields[0].size() == digits_of_seconds && is_number(fields[1], 1) &&
           is_number(fields[2], 1) && (fields[3] == "0" || fields[3] == "1") &&
           is_number(fields[4].substr(0, fields[4].find('\r')), 1);
}

ImportReport import_csv(ByteSource& source,
                        Header& header,
                        const Sink& sink,
                        const ImportOptions& options) {
    return CsvImport(source, header, sink, options, "csv", options.columns).run();
}

ImportReport import_msr(ByteSource& source,
                        Header& header,
                        const Sink& sink,
                        const ImportOptions& options) {
    return CsvImport(source, header, sink, options, "msr", msr_columns).run();
}

ImportReport import_systor17(ByteSource& source,
                             Header& header,
                             const Sink& sink,
                             const ImportOptions& options) {
    return CsvImport(source, header, sink, options, "systor17", systor17_columns).run();
}

ImportReport import_alibaba(ByteSource& source,
                            Header& header,
                            const Sink& sink,
                            const ImportOptions& options) {
    return CsvImport(source, header, sink, options, "alibaba", alibaba_columns).run();
}

ImportReport import_tencent(ByteSource& source,
                            Header& header,
                            const Sink& sink,
                            const ImportOptions& options) {
    return CsvImport(source, header, sink, options, "tencent", tencent_columns).run();
}

}  // namespace fusesim::trace

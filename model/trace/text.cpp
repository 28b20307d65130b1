#include "trace/text.h"

#include "trace/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <type_traits>

namespace fusesim::trace {

namespace {

constexpr std::string_view end_key = "end:";
constexpr std::size_t end_preview = 64 * 1024;

template <class Number>
bool parse_number(std::string_view token, int base, Number& value) {
    const char* const end = token.data() + token.size();
    const auto parsed = std::from_chars(token.data(), end, value, base);
    return parsed.ec == std::errc() && parsed.ptr == end;
}

template <class Number>
void append_number(Number value, std::string& out) {
    char digits[24];
    const auto done = std::to_chars(digits, digits + sizeof digits, value);
    out.append(digits, done.ptr);
}

// The first character of a token that begins a line must not read as a comment, a lone - is "none",
// and a last colon would make it look like an end line's key.
void append_name(const std::string& name, std::string& out) {
    if (name == "-") {
        out += "%2D";
        return;
    }
    const std::size_t from = out.size();
    percent_encode(name, "", out);
    if (out[from] == '#') {
        out.replace(from, 1, "%23");
    }
    if (out.back() == ':') {
        out.pop_back();
        out += "%3A";
    }
}

std::string without_cr(std::string_view line) {
    if (!line.empty() && line.back() == '\r') {
        line.remove_suffix(1);
    }
    return std::string(line);
}

struct End {
    std::uint64_t records = 0;
    std::uint64_t hash = 0;
};

// "end: 12 records, content 0123456789abcdef"
std::optional<End> parse_end(std::string_view line) {
    End end;
    line.remove_prefix(end_key.size());
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const char* const last = line.data() + line.size();
    auto parsed = std::from_chars(line.data(), last, end.records);
    if (parsed.ec != std::errc()) {
        return std::nullopt;
    }
    constexpr std::string_view words = " records, content ";
    std::string_view rest(parsed.ptr, static_cast<std::size_t>(last - parsed.ptr));
    if (!rest.starts_with(words)) {
        return std::nullopt;
    }
    rest.remove_prefix(words.size());
    if (rest.size() != 16 || !parse_number(rest, 16, end.hash)) {
        return std::nullopt;
    }
    return end;
}

}  // namespace

TextDecoder::TextDecoder(ByteSource& source, Header& header, bool lenient)
    : source_(source), header_(header), header_parser_(header), lenient_(lenient) {
    std::string_view raw;
    source_.line(raw);
    const std::string first = without_cr(raw);
    unsigned version = 0;
    if (!parse_number(std::string_view(first).substr(text_magic.size()), 10, version)) {
        throw config::Error({source_.path(), 1, static_cast<int>(text_magic.size()) + 1},
                            "the version is not a number",
                            "the first line reads: fusesim trace 1");
    }
    if (version != 1) {
        throw config::Error({source_.path(), 1, static_cast<int>(text_magic.size()) + 1},
                            fmt::format("trace version {} is not supported, only 1", version),
                            "convert it with the fusesim that wrote it");
    }
    header_.version = version;
    while (source_.line(raw)) {
        const std::string line = without_cr(raw);
        if (line.empty() || line[0] == '#') {
            continue;
        }
        constexpr std::string_view columns_key = "columns:";
        if (line.starts_with(columns_key)) {
            read_columns(std::string_view(line).substr(columns_key.size()), columns_key.size() + 1);
            header_parser_.complete({source_.path(), source_.line_number(), 1});
            preview_end();
            return;
        }
        header_parser_.line(line, {source_.path(), source_.line_number(), 1});
    }
    throw config::Error({source_.path(), source_.line_number(), 1},
                        "the header ends without a columns: line",
                        "was the file cut off?");
}

void TextDecoder::read_columns(std::string_view line, int first_column) {
    const auto fail = [&](std::size_t at, const std::string& message, const std::string& hint) {
        throw config::Error(
            {source_.path(), source_.line_number(), first_column + static_cast<int>(at)},
            message,
            hint);
    };
    bool seen[column_limit] = {};
    std::size_t at = 0;
    while ((at = line.find_first_not_of(" \t", at)) != std::string_view::npos) {
        const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
        const std::string_view name = line.substr(at, end - at);
        const std::optional<Column> column = column_of(name);
        if (column) {
            bool& before = seen[static_cast<std::size_t>(*column)];
            if (before) {
                fail(at, fmt::format("duplicate column '{}'", name), "");
            }
            before = true;
            fields_.push_back({*column, false});
        } else if (lenient_) {
            warnings.push_back(fmt::format("column '{}' is unknown and was skipped", name));
            fields_.push_back({Column::opcode, true});
        } else {
            const std::string_view near = nearest_column(name);
            fail(at,
                 fmt::format("unknown column '{}'", name),
                 near.empty() ? "--lenient skips it" : fmt::format("did you mean '{}'?", near));
        }
        at = end;
    }
    if (!seen[static_cast<std::size_t>(Column::opcode)]) {
        fail(0, "there is no opcode column", "");
    }
}

// In a plain file the end lines can be read now, so that header() is complete from the start.
void TextDecoder::preview_end() {
    const std::int64_t size = source_.plain_size();
    if (size < 0) {
        return;
    }
    const std::int64_t from =
        std::max<std::int64_t>(source_.offset() - 1, size - static_cast<std::int64_t>(end_preview));
    const std::string tail = source_.read_at(from, end_preview);
    const std::size_t at = tail.rfind("\nend: ");
    if (at == std::string::npos) {
        return;
    }
    HeaderParser parser(header_);
    std::size_t line_begin = at + 1;
    bool first = true;
    while (line_begin < tail.size()) {
        const std::size_t line_end = tail.find('\n', line_begin);
        if (line_end == std::string::npos) {
            return;
        }
        const std::string line =
            without_cr(std::string_view(tail).substr(line_begin, line_end - line_begin));
        line_begin = line_end + 1;
        if (first) {
            const std::optional<End> end = parse_end(line);
            if (!end) {
                return;
            }
            expected_records = end->records;
            first = false;
        } else if (!line.empty() && line[0] != '#') {
            try {
                parser.line(line, {source_.path()});
            } catch (const config::Error&) {
                return;  // said again, with its place, when the reader gets there
            }
        }
    }
}

bool TextDecoder::next(Record& record) {
    while (!ended_ && source_.line(line_)) {
        if (!line_.empty() && line_.back() == '\r') {
            line_.remove_suffix(1);
        }
        if (line_.empty() || line_[0] == '#') {
            continue;
        }
        if (line_.starts_with(end_key)) {
            read_end(line_);
            return false;
        }
        if (!source_.whole()) {
            if (lenient_) {
                warnings.push_back(
                    fmt::format("line {} has no line end and was skipped", source_.line_number()));
                break;
            }
            fail_at(line_.data() + line_.size(),
                    "the last line has no line end",
                    "was the file cut off? --lenient leaves the line out");
        }
        parse(line_, record);
        hash_.add(record);
        ++records_;
        return true;
    }
    if (!ended_) {
        ended_ = true;
        if (source_.cut_off()) {
            warnings.emplace_back("the compressed file breaks off");
        }
        if (expected_records && !lenient_) {
            source_.fail("the end line vanished while reading");
        }
        content_hash = hash_.value();
        expected_records = records_;
    }
    return false;
}

void TextDecoder::read_end(std::string_view line) {
    ended_ = true;
    const std::optional<End> end = parse_end(line);
    if (!end) {
        fail_at(line.data(),
                "the end line is malformed",
                "it reads: end: N records, content HASH; or leave it out");
    }
    const std::uint64_t hash = hash_.value();
    if (end->records != records_ || end->hash != hash) {
        const std::string message =
            end->records != records_
                ? fmt::format(
                      "the end line counts {} records, but there are {}", end->records, records_)
                : fmt::format("the content hash is {}, the end line says {}",
                              hash_text(hash),
                              hash_text(end->hash));
        if (!lenient_) {
            fail_at(line.data(), message, "the file was changed; if on purpose, delete this line");
        }
        warnings.push_back(message);
    }
    expected_records = records_;
    content_hash = hash;
    header_parser_.begin_end_lines();
    std::string_view raw;
    while (source_.line(raw)) {
        const std::string text = without_cr(raw);
        if (!text.empty() && text[0] != '#') {
            header_parser_.line(text, {source_.path(), source_.line_number(), 1});
        }
    }
    line_ = {};
}

void TextDecoder::parse(std::string_view line, Record& record) {
    clear(record);
    const char* at = line.data();
    const char* const end = at + line.size();
    for (const Field& field : fields_) {
        while (at != end && (*at == ' ' || *at == '\t')) {
            ++at;
        }
        if (at == end) {
            fail_at(end,
                    fmt::format("the line has fewer than {} columns", fields_.size()),
                    "write - for what is not known");
        }
        const char* const begin = at;
        while (at != end && *at != ' ' && *at != '\t') {
            ++at;
        }
        const auto length = static_cast<std::size_t>(at - begin);
        if ((length == 1 && *begin == '-') || field.skipped) {
            continue;
        }
        parse_field(field.column, {begin, length}, record);
    }
    while (at != end && (*at == ' ' || *at == '\t')) {
        ++at;
    }
    if (at != end) {
        fail_at(at,
                fmt::format("the line has more than {} columns", fields_.size()),
                "blanks in names are written %20");
    }
}

void TextDecoder::parse_field(Column column, std::string_view token, Record& record) {
    bool fine = false;
    switch (column) {
        case Column::opcode: {
            const std::optional<std::uint32_t> opcode = opcode_of(header_.layer, token);
            if (!opcode) {
                fail_at(token.data(),
                        fmt::format("unknown opcode '{}'", token.substr(0, 40)),
                        "a name such as READ (layer fuse) or read (layer syscall), or a number");
            }
            record.opcode = *opcode;
            return;
        }
        case Column::flags:
            fine = token.starts_with("0x") ? parse_number(token.substr(2), 16, record.flags)
                                           : parse_number(token, 10, record.flags);
            break;
        default:
            fine = visit(column, record, [token](auto& member) {
                using Member = std::remove_reference_t<decltype(member)>;
                if constexpr (std::is_same_v<Member, std::string>) {
                    return percent_decode(token, member);
                } else if constexpr (std::is_same_v<Member, bool>) {
                    member = token == "1";
                    return token == "1" || token == "0";
                } else {
                    return parse_number(token, 10, member);
                }
            });
    }
    if (!fine) {
        const bool is_name = column == Column::name || column == Column::name2;
        fail_at(token.data(),
                is_name ? "a % in the name is not followed by two hexadecimal digits"
                        : fmt::format("{} = '{}' is not a number in its range",
                                      column_name(column),
                                      token.substr(0, 40)),
                is_name ? "write a percent sign as %25" : "write - for what is not known");
    }
}

config::Place TextDecoder::place(std::optional<Column> column) const {
    config::Place place{source_.path(), source_.line_number(), 1};
    if (column) {
        std::size_t at = 0;
        for (const Field& field : fields_) {
            at = line_.find_first_not_of(" \t", at);
            if (at == std::string_view::npos) {
                return place;
            }
            if (!field.skipped && field.column == *column) {
                place.column = static_cast<int>(at) + 1;
                return place;
            }
            at = line_.find_first_of(" \t", at);
        }
    }
    return place;
}

void TextDecoder::fail_at(const char* at,
                          const std::string& message,
                          const std::string& hint) const {
    throw config::Error(
        {source_.path(), source_.line_number(), static_cast<int>(at - line_.data()) + 1},
        message,
        hint);
}

TextEncoder::TextEncoder(Layer layer, std::vector<Column> columns)
    : layer_(layer), columns_(std::move(columns)) {
    if (columns_.empty()) {
        columns_.assign(all_columns.begin(), all_columns.end());
    }
    for (const Column column : all_columns) {
        if (std::find(columns_.begin(), columns_.end(), column) == columns_.end()) {
            absent_.push_back(column);
        }
    }
}

std::string TextEncoder::head(const Header& header) const {
    std::string out = fmt::format("{}1\n{}columns:", text_magic, header_lines(header));
    for (const Column column : columns_) {
        out += ' ';
        out += column_name(column);
    }
    out += '\n';
    return out;
}

std::optional<Column> TextEncoder::missing(const Record& record) const {
    for (const Column column : absent_) {
        if (is_set(column, record)) {
            return column;
        }
    }
    return std::nullopt;
}

void TextEncoder::add(const Record& record, std::string& out) const {
    bool first = true;
    for (const Column column : columns_) {
        if (!first) {
            out += ' ';
        }
        first = false;
        if (column == Column::opcode) {
            const std::string_view name = opcode_name(layer_, record.opcode);
            if (name.empty()) {
                append_number(record.opcode, out);
            } else {
                out += name;
            }
        } else if (!is_set(column, record)) {
            out += '-';
        } else if (column == Column::flags) {
            fmt::format_to(std::back_inserter(out), "0x{:x}", record.flags);
        } else {
            visit(column, record, [&out](const auto& member) {
                using Member = std::remove_cvref_t<decltype(member)>;
                if constexpr (std::is_same_v<Member, std::string>) {
                    append_name(member, out);
                } else if constexpr (std::is_same_v<Member, bool>) {
                    out += member ? '1' : '0';
                } else {
                    append_number(member, out);
                }
            });
        }
    }
    out += '\n';
}

std::string TextEncoder::end(std::uint64_t records,
                             std::uint64_t hash,
                             const std::string& changed) {
    return fmt::format("end: {} records, content {}\n{}", records, hash_text(hash), changed);
}

}  // namespace fusesim::trace

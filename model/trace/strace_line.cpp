#include "trace/strace_line.h"

#include "trace/foreign.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace fusesim::trace::strace {

namespace {

using foreign::skip_blanks;
using foreign::Stamp;
using foreign::take_any_number;
using foreign::take_number;
using foreign::take_word;

constexpr std::uint64_t longest_call_s = 100 * 86'400;

const std::map<std::string_view, std::uint32_t>& words() {
    static const std::map<std::string_view, std::uint32_t> known = {
        {"O_RDONLY", O_RDONLY},
        {"O_WRONLY", O_WRONLY},
        {"O_RDWR", O_RDWR},
        {"O_CREAT", O_CREAT},
        {"O_EXCL", O_EXCL},
        {"O_NOCTTY", O_NOCTTY},
        {"O_TRUNC", O_TRUNC},
        {"O_APPEND", O_APPEND},
        {"O_NONBLOCK", O_NONBLOCK},
        {"O_DSYNC", O_DSYNC},
        {"O_SYNC", O_SYNC},
        {"O_DIRECT", O_DIRECT},
        {"O_LARGEFILE", 0100000},  // glibc's is 0 on 64-bit machines
        {"O_DIRECTORY", O_DIRECTORY},
        {"O_NOFOLLOW", O_NOFOLLOW},
        {"O_NOATIME", O_NOATIME},
        {"O_CLOEXEC", O_CLOEXEC},
        {"O_PATH", O_PATH},
        {"O_TMPFILE", O_TMPFILE},
        {"AT_SYMLINK_NOFOLLOW", AT_SYMLINK_NOFOLLOW},
        {"AT_SYMLINK_FOLLOW", AT_SYMLINK_FOLLOW},
        {"AT_REMOVEDIR", AT_REMOVEDIR},
        {"AT_EACCESS", AT_EACCESS},
        {"AT_NO_AUTOMOUNT", AT_NO_AUTOMOUNT},
        {"AT_EMPTY_PATH", AT_EMPTY_PATH},
        {"AT_STATX_FORCE_SYNC", 0x2000},
        {"AT_STATX_DONT_SYNC", 0x4000},
        {"SEEK_SET", SEEK_SET},
        {"SEEK_CUR", SEEK_CUR},
        {"SEEK_END", SEEK_END},
        {"SEEK_DATA", SEEK_DATA},
        {"SEEK_HOLE", SEEK_HOLE},
        {"F_OK", F_OK},
        {"R_OK", R_OK},
        {"W_OK", W_OK},
        {"X_OK", X_OK},
        {"RENAME_NOREPLACE", RENAME_NOREPLACE},
        {"RENAME_EXCHANGE", RENAME_EXCHANGE},
        {"RENAME_WHITEOUT", RENAME_WHITEOUT},
        {"FALLOC_FL_KEEP_SIZE", FALLOC_FL_KEEP_SIZE},
        {"FALLOC_FL_PUNCH_HOLE", FALLOC_FL_PUNCH_HOLE},
        {"FALLOC_FL_COLLAPSE_RANGE", FALLOC_FL_COLLAPSE_RANGE},
        {"FALLOC_FL_ZERO_RANGE", FALLOC_FL_ZERO_RANGE},
        {"FALLOC_FL_INSERT_RANGE", FALLOC_FL_INSERT_RANGE},
        {"FALLOC_FL_UNSHARE_RANGE", FALLOC_FL_UNSHARE_RANGE},
        {"MAP_SHARED", MAP_SHARED},
        {"MAP_PRIVATE", MAP_PRIVATE},
        {"MAP_SHARED_VALIDATE", MAP_SHARED_VALIDATE},
        {"MAP_FIXED", MAP_FIXED},
        {"MAP_DENYWRITE", MAP_DENYWRITE},
        {"MAP_POPULATE", MAP_POPULATE},
        {"POSIX_FADV_NORMAL", POSIX_FADV_NORMAL},
        {"POSIX_FADV_RANDOM", POSIX_FADV_RANDOM},
        {"POSIX_FADV_SEQUENTIAL", POSIX_FADV_SEQUENTIAL},
        {"POSIX_FADV_WILLNEED", POSIX_FADV_WILLNEED},
        {"POSIX_FADV_DONTNEED", POSIX_FADV_DONTNEED},
        {"POSIX_FADV_NOREUSE", POSIX_FADV_NOREUSE},
        {"SYNC_FILE_RANGE_WAIT_BEFORE", SYNC_FILE_RANGE_WAIT_BEFORE},
        {"SYNC_FILE_RANGE_WRITE", SYNC_FILE_RANGE_WRITE},
        {"SYNC_FILE_RANGE_WAIT_AFTER", SYNC_FILE_RANGE_WAIT_AFTER},
        {"LOCK_SH", LOCK_SH},
        {"LOCK_EX", LOCK_EX},
        {"LOCK_NB", LOCK_NB},
        {"LOCK_UN", LOCK_UN},
        {"S_IFREG", S_IFREG},
        {"S_IFDIR", S_IFDIR},
        {"S_IFIFO", S_IFIFO},
        {"S_IFSOCK", S_IFSOCK},
        {"S_IFCHR", S_IFCHR},
        {"S_IFBLK", S_IFBLK},
        {"XATTR_CREATE", XATTR_CREATE},
        {"XATTR_REPLACE", XATTR_REPLACE},
        {"RWF_HIPRI", RWF_HIPRI},
        {"RWF_DSYNC", RWF_DSYNC},
        {"RWF_SYNC", RWF_SYNC},
        {"RWF_NOWAIT", RWF_NOWAIT},
        {"RWF_APPEND", RWF_APPEND},
    };
    return known;
}

// Where the string that begins at `at` ends: one past its closing quote.
std::size_t end_of_string(std::string_view text, std::size_t at) {
    for (++at; at < text.size(); ++at) {
        if (text[at] == '\\') {
            ++at;
        } else if (text[at] == '"') {
            return at + 1;
        }
    }
    return text.size() + 1;
}

// Where the annotation that begins at `at` ends: one past its closing bracket. Addresses of sockets
// hold "->", devices annotations of their own.
std::size_t end_of_annotation(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    for (; at < text.size(); ++at) {
        if (text[at] == '<') {
            ++depth;
        } else if (text[at] == '>' && text[at - 1] != '-' && --depth == 0) {
            return at + 1;
        }
    }
    return text.size() + 1;
}

bool begins_annotation(std::string_view text, std::size_t at) {
    if (text[at] != '<' || at == 0 || at + 1 >= text.size() || text[at + 1] == '<') {
        return false;
    }
    const char before = text[at - 1];
    return (before >= '0' && before <= '9') || before == 'D';
}

// Splits at commas outside of strings, brackets, comments and annotations. `at` comes to stand
// behind the closing parenthesis; false if there is none.
bool split(std::string_view text, std::size_t& at, std::vector<std::string_view>& arguments) {
    std::size_t begin = at;
    std::size_t depth = 0;
    const auto finish = [&](std::size_t end) {
        std::string_view argument = text.substr(begin, end - begin);
        skip_blanks(argument);
        argument = argument.substr(0, argument.find_last_not_of(' ') + 1);
        if (!argument.empty() || !arguments.empty()) {
            arguments.push_back(argument);
        }
        begin = end + 1;
    };
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = end_of_string(text, at);
            continue;
        }
        if (begins_annotation(text, at)) {
            at = end_of_annotation(text, at);
            continue;
        }
        if (c == '/' && text.substr(at).starts_with("/*")) {
            const std::size_t end = text.find("*/", at);
            at = end == std::string_view::npos ? text.size() + 1 : end + 2;
            continue;
        }
        if (c == '(' || c == '[' || c == '{') {
            ++depth;
        } else if (c == ')' && depth == 0) {
            finish(at);
            ++at;
            return true;
        } else if ((c == ')' || c == ']' || c == '}') && depth > 0) {
            --depth;
        } else if (c == ',' && depth == 0) {
            finish(at);
        }
        ++at;
    }
    at = text.size();
    finish(at);
    return false;
}

// Takes "<0.000012>" off the end.
bool take_duration(std::string_view& text, std::int64_t& duration) {
    if (!text.ends_with('>')) {
        return true;
    }
    const std::size_t open = text.rfind('<');
    if (open == std::string_view::npos) {
        return false;
    }
    std::string_view inner = text.substr(open + 1, text.size() - open - 2);
    Stamp stamp;
    if (!foreign::take_seconds(inner, stamp) || !inner.empty()) {
        return true;  // the annotation of a descriptor
    }
    if (static_cast<std::uint64_t>(stamp.time) > longest_call_s * 1'000'000'000) {
        return false;
    }
    duration = stamp.time;
    text = text.substr(0, open);
    return true;
}

bool parse_result(std::string_view text, SystemCall& call) {
    skip_blanks(text);
    if (!take_word(text, "=")) {
        return false;
    }
    skip_blanks(text);
    if (!take_duration(text, call.duration)) {
        return false;
    }
    if (take_word(text, "?")) {
        skip_blanks(text);
        call.unknown_result = foreign::take_token(text);
        return true;
    }
    const bool negative = take_word(text, "-");
    std::uint64_t number = 0;
    if (!(negative ? take_number(text, number) : take_any_number(text, number))) {
        return false;
    }
    call.result = negative ? -static_cast<std::int64_t>(number & 0x7fffffffffffffff)
                           : static_cast<std::int64_t>(number);
    if (text.starts_with('<')) {
        const std::size_t end = end_of_annotation(text, 0);
        if (end > text.size()) {
            return false;
        }
        call.result_file = text.substr(1, end - 2);
        text.remove_prefix(end);
    }
    if (negative) {
        skip_blanks(text);
        call.result = foreign::error_of(foreign::take_token(text));
        if (call.result == 0) {
            return false;
        }
    }
    call.returned = true;
    return true;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

}  // namespace

bool take_prefix(std::string_view& line, Prefix& prefix) {
    std::string_view rest = line;
    skip_blanks(rest);
    std::uint64_t tid = 0;
    if (take_word(rest, "[pid")) {
        skip_blanks(rest);
        if (!take_number(rest, tid)) {
            return false;
        }
        const std::size_t close = rest.find(']');
        if (close == std::string_view::npos) {
            return false;
        }
        rest.remove_prefix(close + 1);
    } else {
        const std::size_t end = rest.find_first_not_of("0123456789");
        if (end != std::string_view::npos && end > 0 && (rest[end] == ' ' || rest[end] == '<')) {
            if (!take_number(rest, tid)) {
                return false;
            }
            if (rest.starts_with('<')) {
                const std::size_t close = rest.find("> ");
                if (close == std::string_view::npos) {
                    return false;
                }
                rest.remove_prefix(close + 1);
            }
        }
    }
    if (tid > 0xffffffff) {
        return false;
    }
    skip_blanks(rest);
    Stamp stamp;
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    prefix.time_of_day = rest.substr(digits).starts_with(':');
    const bool timed =
        prefix.time_of_day ? foreign::take_clock(rest, stamp) : foreign::take_seconds(rest, stamp);
    if (!timed || !rest.starts_with(' ')) {
        return false;
    }
    skip_blanks(rest);
    prefix.tid = static_cast<std::uint32_t>(tid);
    prefix.time = stamp.time;
    prefix.resolution = stamp.resolution;
    line = rest;
    return true;
}

bool parse_call(std::string_view text, bool whole, SystemCall& call) {
    const std::size_t open = text.find('(');
    if (open == std::string_view::npos || open == 0) {
        return false;
    }
    call.name = text.substr(0, open);
    const bool word = std::all_of(call.name.begin(), call.name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
    });
    if (!word || is_digit(call.name.front())) {
        return false;
    }
    std::size_t at = open + 1;
    const bool closed = split(text, at, call.arguments);
    if (!whole) {
        return true;
    }
    return closed && parse_result(text.substr(at), call);
}

std::optional<Descriptor> descriptor(std::string_view argument) {
    Descriptor result;
    std::uint64_t number = 0;
    if (take_word(argument, "AT_FDCWD")) {
        result.number = working_directory;
    } else if (take_number(argument, number) && number < 0x7fffffff) {
        result.number = static_cast<int>(number);
    } else {
        return std::nullopt;
    }
    if (argument.starts_with('<')) {
        const std::size_t end = std::min(end_of_annotation(argument, 0), argument.size());
        result.file = argument.substr(1, std::max<std::size_t>(end, 2) - 2);
    }
    return result;
}

std::optional<std::string> quoted(std::string_view argument, bool& cut) {
    if (!argument.starts_with('"')) {
        return std::nullopt;
    }
    std::string bytes;
    std::size_t at = 1;
    for (; at < argument.size() && argument[at] != '"'; ++at) {
        if (argument[at] != '\\') {
            bytes += argument[at];
            continue;
        }
        if (++at == argument.size()) {
            return std::nullopt;
        }
        const char c = argument[at];
        if (c >= '0' && c <= '7') {
            unsigned value = 0;
            std::size_t digits = 0;
            while (digits < 3 && at < argument.size() && argument[at] >= '0' &&
                   argument[at] <= '7') {
                value = value * 8 + static_cast<unsigned>(argument[at] - '0');
                ++digits;
                ++at;
            }
            --at;
            bytes += static_cast<char>(value);
        } else if (c == 'x') {
            unsigned value = 0;
            const std::string_view digits = argument.substr(std::min(at + 1, argument.size()), 2);
            const auto parsed =
                std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
            if (digits.size() != 2 || parsed.ptr != digits.data() + 2) {
                return std::nullopt;
            }
            at += 2;
            bytes += static_cast<char>(value);
        } else {
            constexpr std::string_view letters = "tnvfr";
            constexpr std::string_view meanings = "\t\n\v\f\r";
            const std::size_t known = letters.find(c);
            bytes += known == std::string_view::npos ? c : meanings[known];
        }
    }
    if (at >= argument.size() || bytes.find('\0') != std::string::npos) {
        return std::nullopt;
    }
    cut = argument.substr(at + 1).starts_with("...");
    return bytes;
}

std::string annotated_path(std::string_view annotation) {
    if (!annotation.starts_with('/')) {
        return "";
    }
    constexpr std::string_view deleted = " (deleted)";
    if (annotation.ends_with(deleted)) {
        annotation.remove_suffix(deleted.size());
    }
    // A device: </dev/null<char 1:3>>.
    const std::size_t device = annotation.find('<');
    bool cut = false;
    const auto path = quoted("\"" + std::string(annotation.substr(0, device)) + "\"", cut);
    return path.value_or("");
}

std::uint32_t flags(std::string_view argument) {
    std::uint32_t value = 0;
    while (!argument.empty()) {
        const std::size_t end = std::min(argument.find('|'), argument.size());
        std::string_view word = argument.substr(0, end);
        argument.remove_prefix(std::min(end + 1, argument.size()));
        word = word.substr(0, word.find(' '));
        std::uint64_t number = 0;
        if (!word.empty() && is_digit(word.front())) {
            take_any_number(word, number);
            value |= static_cast<std::uint32_t>(number);
        } else {
            const auto known = words().find(word);
            value |= known == words().end() ? 0 : known->second;
        }
    }
    return value;
}

std::optional<std::uint64_t> vector_size(std::string_view argument) {
    if (!argument.starts_with('[')) {
        return std::nullopt;
    }
    constexpr std::string_view key = "iov_len=";
    std::uint64_t sum = 0;
    for (std::size_t at = 0; at < argument.size(); ++at) {
        const std::string_view rest = argument.substr(at);
        if (argument[at] == '"') {
            at = end_of_string(argument, at) - 1;
            // An ellipsis behind a string is the string's own.
            if (at < argument.size() && argument.substr(at + 1).starts_with("...")) {
                at += 3;
            }
        } else if (rest.starts_with(key)) {
            std::string_view digits = rest.substr(key.size());
            std::uint64_t length = 0;
            if (!take_number(digits, length)) {
                return std::nullopt;
            }
            sum += length;
        } else if (rest.starts_with("...")) {
            return std::nullopt;
        }
    }
    return sum;
}

}  // namespace fusesim::trace::strace

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What strace prints, one line at a time. Nothing here remembers earlier lines.

namespace fusesim::trace::strace {

/// Begin of a line: whose, and when. `tid` is 0 where strace followed a single process.
struct Prefix {
    std::uint32_t tid = 0;
    std::int64_t time = 0;        ///< ns since 1970, or since midnight
    std::int64_t resolution = 1;  ///< ns of the last digit
    bool time_of_day = false;
};

/// Takes thread and time off the front of a line.
bool take_prefix(std::string_view& line, Prefix& prefix);

/// A system call; the views point into the text it was parsed from.
struct SystemCall {
    std::string_view name;
    std::vector<std::string_view> arguments;
    bool returned = false;            ///< false as well for "= ?"
    std::int64_t result = 0;          ///< as the kernel returned it: errors are negative
    std::string_view unknown_result;  ///< after "= ?": ERESTARTSYS and the like, "" if nothing
    std::string_view result_file;     ///< what strace -y says of a returned descriptor
    std::int64_t duration = -1;       ///< ns, -1 if strace -T was not used
};

/// Reads "name(arguments) = result <duration>". `whole` false: the call was still going on when
/// strace printed this, the arguments may be cut off and there is no result.
bool parse_call(std::string_view text, bool whole, SystemCall& call);

/// A descriptor with what strace -y says of it: 3, or 3</path>, or AT_FDCWD</directory>.
struct Descriptor {
    int number = -1;  ///< working_directory for AT_FDCWD
    std::string_view file;
};

inline constexpr int working_directory = -100;

std::optional<Descriptor> descriptor(std::string_view argument);

/// The bytes of a quoted string; nullopt if it is none. `cut` tells that strace left out its end.
std::optional<std::string> quoted(std::string_view argument, bool& cut);

/// The path of an annotation, without what marks it as deleted.
std::string annotated_path(std::string_view annotation);

/// Value of "O_RDONLY|O_CLOEXEC", "0644", "SEEK_SET"; what is not known counts nothing.
std::uint32_t flags(std::string_view argument);

/// Sum of the iov_len of a vector; nullopt if strace did not print all of it.
std::optional<std::uint64_t> vector_size(std::string_view argument);

}  // namespace fusesim::trace::strace

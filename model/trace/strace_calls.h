#pragma once

#include "trace/call.h"

#include <string_view>

namespace fusesim::trace::strace {

/// Which arguments of a call are what; -1 is none.
struct Shape {
    std::string_view name;
    Call call = Call::other;
    signed char fd = -1;
    signed char directory = -1;
    signed char path = -1;
    signed char directory2 = -1;
    signed char path2 = -1;
    signed char offset = -1;
    signed char size = -1;
    signed char flags = -1;
    bool at_position = false;  ///< works at the file position and moves it
};

/// The shape of a call on files; nullptr if it is none, or only changes what a descriptor is.
const Shape* shape_of(std::string_view name);

/// Whether the call returns a descriptor of something that is not a file.
bool makes_no_file(std::string_view name);

bool is_clone(std::string_view name);

}  // namespace fusesim::trace::strace

#pragma once

#include "config/error.h"

#include <string>
#include <string_view>
#include <vector>

namespace fusesim::config {

struct Entry;

/// One node of a configuration: what was written, and where.
struct Value {
    enum class Kind { null, scalar, list, map };

    Kind kind = Kind::null;
    Place place;
    std::string text;            ///< of a scalar, as written but without quotes
    std::vector<Value> items;    ///< of a list
    std::vector<Entry> entries;  ///< of a map, in the order of the file; keys are unique

    /// The entry of a map with that key, or nullptr.
    const Entry* find(std::string_view key) const;
    Entry* find(std::string_view key);

    /// "a map", "a list", "nothing" or the scalar's text in quotes, for messages.
    std::string what() const;
};

struct Entry {
    std::string key;
    Place place;  ///< of the key
    Value value;
};

}  // namespace fusesim::config

#pragma once

#include "config/value.h"

#include <cstddef>
#include <string>

namespace fusesim::config {

/// Reads one YAML document. Duplicate keys, keys that are no words, tags, several documents, too
/// much of anything and text that is no YAML are Errors with their place.
/// `first` is the place of the text's first byte (line and column from 1); `values` counts the
/// values of all texts of one document.
Value parse_yaml(const std::string& text, const Place& first, std::size_t& values);

}  // namespace fusesim::config

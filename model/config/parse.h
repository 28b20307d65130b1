#pragma once

#include "config/value.h"

#include <cstddef>
#include <string>

namespace fusesim::config {

/// Fails with the first byte that is not UTF-8 or is a control character.
void check_text(const std::string& text, const std::string& file);

/// Reads one YAML document. Duplicate keys, keys that are no words, tags, several documents, too
/// much of anything and text that is no YAML are Errors with their place.
/// `first` is the place of the text's first byte (line and column from 1); `values` counts the
/// values of all texts of one document.
Value parse_yaml(const std::string& text, const Place& first, std::size_t& values);

}  // namespace fusesim::config

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fusesim::config {

/// The word most like `word` by swaps, insertions, deletions and replacements of letters; "" if
/// none is near enough to be what somebody meant.
std::string nearest(std::string_view word, const std::vector<std::string>& words);

}  // namespace fusesim::config

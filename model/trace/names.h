#pragma once

#include "trace/record.h"

#include <optional>
#include <string>
#include <string_view>

namespace fusesim::trace {

std::string_view layer_name(Layer layer);
std::optional<Layer> layer_of(std::string_view name);

/// The name as reports print it ("READ", "read"); "" for a number that has none.
std::string_view opcode_name(Layer layer, std::uint32_t opcode);

/// The name, or the number in decimal.
std::string opcode_text(Layer layer, std::uint32_t opcode);

/// Understands a name (for layer fuse also with FUSE_ before it) or a decimal number.
std::optional<std::uint32_t> opcode_of(Layer layer, std::string_view text);

/// The word of `known` that `word` was probably meant to be, "" if none is near.
std::string_view nearest(std::string_view word, const std::string_view* known, std::size_t count);

}  // namespace fusesim::trace

#pragma once

#include "trace/record.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace fusesim::trace {

using Key = std::array<std::uint8_t, 16>;

/// SipHash-2-4, a keyed hash that cannot be inverted without the key.
std::uint64_t siphash(const Key& key, std::string_view bytes);

/// Replaces names by keyed hashes, component by component: equal components stay equal, different
/// ones stay different, and so the shape of the tree stays. `.`, `..`, empty components and the
/// names of the well-known extended attributes are kept. A hash is as long as the component, but
/// never shorter than 11 characters, so that two names get the same hash about never.
class Anonymiser {
  public:
    Anonymiser(const Key& key, bool keep_extensions)
        : key_(key), keep_extensions_(keep_extensions) {}

    void apply(Record& record, Layer layer);

    /// Marks the trace, and removes the values of facts that could hold a path or a host name.
    void apply(Header& header) const;

    std::string path(std::string_view path) const;

    std::string component(std::string_view name) const;

  private:
    Key key_;
    bool keep_extensions_;
};

}  // namespace fusesim::trace

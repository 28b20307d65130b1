#pragma once

#include "trace/record.h"

#include <cstdint>
#include <memory>
#include <string>

namespace fusesim::trace {

/// Hash of a sequence of records, independent of how a file stores them: XXH64 over each record's
/// set members in the order of their column numbers (number, then 8 bytes little-endian, or length
/// and bytes of a name) and a closing 0. A column added later leaves the hashes of old traces
/// alone.
class ContentHash {
  public:
    ContentHash();
    ContentHash(ContentHash&&) noexcept;
    ContentHash& operator=(ContentHash&&) noexcept;
    ~ContentHash();

    void add(const Record& record);
    std::uint64_t value() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Sixteen hexadecimal digits.
std::string hash_text(std::uint64_t hash);

}  // namespace fusesim::trace

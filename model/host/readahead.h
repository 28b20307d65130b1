#pragma once

#include "host/page_cache.h"

#include <cstdint>

namespace fusesim::host {

/// Which pages are read ahead of a reader, for one open file (models mm/readahead.c and struct
/// file_ra_state). All numbers are pages.
class Readahead {
  public:
    struct Window {
        std::uint64_t first = 0;
        std::uint64_t count = 0;
        std::uint64_t marker = none;  ///< reading this page asks for the next window
    };

    static constexpr std::uint64_t none = ~std::uint64_t{0};

    /// `most`: ra_pages of the backing device; 0 switches readahead off.
    explicit Readahead(std::uint64_t most) : most_(most) {}

    /// Page `index` is not cached and `wanted` pages from there on are wanted.
    Window miss(std::uint64_t index, std::uint64_t wanted, const Mapping& cached);
    /// The marker at `index` was read.
    Window marker(std::uint64_t index, std::uint64_t wanted, const Mapping& cached);

    /// The last read ended before this page (ra->prev_pos).
    void set_previous(std::uint64_t page) { previous_ = page; }

  private:
    std::uint64_t initial(std::uint64_t wanted) const;
    std::uint64_t following() const;
    Window window() const;

    std::uint64_t most_;
    std::uint64_t start_ = 0;
    std::uint64_t size_ = 0;
    std::uint64_t async_size_ = 0;
    std::uint64_t previous_ = none;
};

}  // namespace fusesim::host

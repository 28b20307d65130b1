#include "host/readahead.h"

#include <algorithm>
#include <bit>

namespace fusesim::host {

std::uint64_t Readahead::initial(std::uint64_t wanted) const {
    const std::uint64_t size = std::bit_ceil(wanted);
    if (size <= most_ / 32) {
        return size * 4;
    }
    return size <= most_ / 4 ? size * 2 : most_;
}

std::uint64_t Readahead::following() const {
    if (size_ < most_ / 16) {
        return size_ * 4;
    }
    return size_ <= most_ / 2 ? size_ * 2 : most_;
}

Readahead::Window Readahead::window() const {
    return {start_, size_, async_size_ == 0 ? none : start_ + size_ - async_size_};
}

Readahead::Window Readahead::miss(std::uint64_t index,
                                  std::uint64_t wanted,
                                  const Mapping& cached) {
    if (most_ == 0) {
        return {index, 1, none};
    }
    const bool sequential = previous_ != none && index >= previous_ && index - previous_ <= 1;
    if (index == 0 || wanted > most_ || sequential) {
        start_ = index;
        size_ = initial(wanted);
        async_size_ = size_ > wanted ? size_ - wanted : size_ / 2;
        return window();
    }
    std::uint64_t history = cached.run_before(index, most_);
    if (history <= wanted) {
        return {index, std::min(wanted, most_), none};  // random: no more than what is wanted
    }
    if (history == index) {
        history *= 2;  // cached from the beginning of the file
    }
    start_ = index;
    size_ = std::min(history + wanted, most_);
    async_size_ = 1;
    return window();
}

Readahead::Window Readahead::marker(std::uint64_t index,
                                    std::uint64_t wanted,
                                    const Mapping& cached) {
    if (most_ == 0) {
        return {index, 0, none};
    }
    if (size_ > 0 && index == start_ + size_ - async_size_) {
        start_ += size_;
        size_ = following();
    } else {
        const std::uint64_t start = cached.next_missing(index + 1, index + most_ + 2);
        if (start - index > most_) {
            return {start, 0, none};
        }
        start_ = start;
        size_ = start - index + wanted;
        size_ = following();
    }
    async_size_ = size_;
    return window();
}

}  // namespace fusesim::host

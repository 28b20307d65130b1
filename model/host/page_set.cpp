#include "host/page_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace fusesim::host {

bool PageSet::contains(std::uint64_t page) const {
    const auto after = runs_.upper_bound(page);
    return after != runs_.begin() && std::prev(after)->second > page;
}

std::uint64_t PageSet::add(std::uint64_t first, std::uint64_t count) {
    if (count == 0) {
        return 0;
    }
    std::uint64_t begin = first;
    std::uint64_t end = first + count;
    std::uint64_t held = 0;
    auto run = runs_.upper_bound(first);
    if (run != runs_.begin() && std::prev(run)->second >= first) {
        run = std::prev(run);
    }
    while (run != runs_.end() && run->first <= end) {
        begin = std::min(begin, run->first);
        end = std::max(end, run->second);
        held += run->second - run->first;
        run = runs_.erase(run);
    }
    runs_.emplace_hint(run, begin, end);
    const std::uint64_t added = end - begin - held;
    count_ += added;
    return added;
}

std::uint64_t PageSet::remove(std::uint64_t first, std::uint64_t count) {
    const std::uint64_t end = first + count;
    std::uint64_t removed = 0;
    auto run = runs_.upper_bound(first);
    if (run != runs_.begin() && std::prev(run)->second > first) {
        run = std::prev(run);
    }
    while (run != runs_.end() && run->first < end) {
        const auto [run_first, run_end] = *run;
        run = runs_.erase(run);
        if (run_first < first) {
            runs_.emplace_hint(run, run_first, first);
        }
        if (run_end > end) {
            run = runs_.emplace_hint(run, end, run_end);
        }
        removed += std::min(run_end, end) - std::max(run_first, first);
    }
    count_ -= removed;
    return removed;
}

void PageSet::clear() {
    runs_.clear();
    count_ = 0;
}

std::uint64_t PageSet::next_missing(std::uint64_t from) const {
    const auto after = runs_.upper_bound(from);
    if (after == runs_.begin() || std::prev(after)->second <= from) {
        return from;
    }
    return std::prev(after)->second;
}

std::uint64_t PageSet::run_before(std::uint64_t before, std::uint64_t most) const {
    if (before == 0 || !contains(before - 1)) {
        return 0;
    }
    return std::min(most, before - std::prev(runs_.upper_bound(before - 1))->first);
}

std::pair<std::uint64_t, std::uint64_t> PageSet::first_run() const {
    return {runs_.begin()->first, runs_.begin()->second - runs_.begin()->first};
}

std::pair<std::uint64_t, std::uint64_t> PageSet::run_from(std::uint64_t page) const {
    const auto after = runs_.upper_bound(page);
    if (after != runs_.begin() && std::prev(after)->second > page) {
        return {page, std::prev(after)->second - page};
    }
    return after == runs_.end() ? first_run()
                                : std::pair(after->first, after->second - after->first);
}

}  // namespace fusesim::host

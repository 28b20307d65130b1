#pragma once

#include <cstdint>
#include <map>

namespace fusesim::host {

/// A set of pages of one file, kept as runs: memory goes with the number of runs, not of pages.
class PageSet {
  public:
    bool contains(std::uint64_t page) const;
    /// Adds `count` pages; returns how many were not in the set before.
    std::uint64_t add(std::uint64_t first, std::uint64_t count);
    /// Takes pages out; returns how many were in the set.
    std::uint64_t remove(std::uint64_t first, std::uint64_t count);
    void clear();

    /// The first page from `from` on that is not in the set.
    std::uint64_t next_missing(std::uint64_t from) const;
    /// How many pages that end just before `before` are all in the set, at most `most`.
    std::uint64_t run_before(std::uint64_t before, std::uint64_t most) const;

    std::uint64_t count() const { return count_; }

    bool empty() const { return runs_.empty(); }

    /// The first run: its first page and its length. The set must not be empty.
    std::pair<std::uint64_t, std::uint64_t> first_run() const;
    /// The first run from `page` on, or part of one; the very first if there is none.
    std::pair<std::uint64_t, std::uint64_t> run_from(std::uint64_t page) const;

  private:
    std::map<std::uint64_t, std::uint64_t> runs_;  // first page, page after the last
    std::uint64_t count_ = 0;
};

}  // namespace fusesim::host

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace fusesim::host {

class PageCache;

/// The cached pages of one file (models struct address_space). Pages that lie next to each other
/// and were used one after the other are one run: memory goes with the number of runs.
class Mapping {
  public:
    explicit Mapping(PageCache& cache) : cache_(cache) {}

    ~Mapping();
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    bool contains(std::uint64_t page) const;
    /// Adds `count` pages; returns how many were not there before.
    std::uint64_t add(std::uint64_t first, std::uint64_t count);
    /// Takes pages out; returns how many were there.
    std::uint64_t remove(std::uint64_t first, std::uint64_t count);
    /// Takes out all pages.
    void clear();
    /// Takes out all pages that are not held back; returns how many.
    std::uint64_t drop_clean();

    /// Pages were used (models mark_page_accessed()); those that are not there do not matter.
    void touch(std::uint64_t first, std::uint64_t count);
    /// Pages that must not be reclaimed until they are released: they are to be written.
    void hold(std::uint64_t first, std::uint64_t count);
    void release(std::uint64_t first, std::uint64_t count);

    /// The first page from `from` on that is not there; looks no farther than `end`.
    std::uint64_t next_missing(std::uint64_t from, std::uint64_t end = ~std::uint64_t{0}) const;
    /// How many pages that end just before `before` are all there, at most `most`.
    std::uint64_t run_before(std::uint64_t before, std::uint64_t most) const;

    std::uint64_t count() const { return count_; }

  private:
    friend class PageCache;

    PageCache& cache_;
    std::uint64_t count_ = 0;
    std::vector<std::vector<std::uint32_t>> sections_;  // of 2^18 pages, by chunks of 64
};

/// All cached pages of a machine, of all file systems, on one budget of memory. Models the lists of
/// mm/vmscan.c: pages begin on the inactive list and go to the active one when they are used a
/// second time; the inactive list's oldest are reclaimed, and the active list's oldest come to the
/// inactive one when that gets short.
class PageCache {
  public:
    enum class Policy { two_lists, lru };

    /// Without `limit` nothing is ever reclaimed. `lru`: one list in order of use.
    explicit PageCache(std::optional<std::uint64_t> limit_pages = std::nullopt,
                       Policy policy = Policy::two_lists);

    std::uint64_t pages() const { return pages_; }

    std::optional<std::uint64_t> limit() const { return limit_; }

    /// Pages that were reclaimed so far.
    std::uint64_t reclaimed() const { return reclaimed_; }

    /// What the simulator's memory goes with.
    std::size_t runs() const { return runs_.size() - 1 - free_runs_.size(); }

  private:
    friend class Mapping;
    using Id = std::uint32_t;  // of a run; 0: none

    enum class State : std::uint8_t { inactive, referenced, active, held };

    struct Run {
        Mapping* file = nullptr;
        std::uint64_t first = 0;
        std::uint64_t count = 0;
        Id newer = 0;
        Id older = 0;
        State state = State::inactive;
    };

    struct List {
        Id newest = 0;
        Id oldest = 0;
        std::uint64_t pages = 0;
    };

    static constexpr unsigned chunk_pages = 64;
    static constexpr std::uint64_t section_chunks = 4096;
    static constexpr std::uint32_t leaf_bit = 1u << 31;

    /// Which run each page of a chunk is of, where it is more than one.
    struct Leaf {
        Id run[chunk_pages];
    };

    Id find(const Mapping& file, std::uint64_t page) const;
    std::uint32_t* entry(Mapping& file, std::uint64_t chunk, bool make);
    void label(Mapping& file, std::uint64_t first, std::uint64_t count, Id id);
    void fill_chunk(std::uint32_t& entry, std::uint64_t chunk, unsigned from, unsigned to, Id id);
    std::uint32_t new_leaf();

    Id new_run(Mapping& file, std::uint64_t first, std::uint64_t count, State state);
    /// Parts a run before `page`; returns both parts.
    std::pair<Id, Id> split(Id id, std::uint64_t page);
    /// The run of exactly [first, first + count) within run `id`.
    Id cut(Id id, std::uint64_t first, std::uint64_t count);
    Id merge_with_older(Id id);
    void drop(Id id);

    List& list_of(State state);
    void push_newest(Id id);
    void unlink(Id id);
    void change(Id id, State state);
    void reclaim();
    bool inactive_is_low() const;

    std::uint64_t add(Mapping& file, std::uint64_t first, std::uint64_t count);

    template <class Visit>
    void for_runs(Mapping& file, std::uint64_t first, std::uint64_t count, Visit visit);

    std::optional<std::uint64_t> limit_;
    Policy policy_;
    std::uint64_t pages_ = 0;
    std::uint64_t reclaimed_ = 0;
    std::vector<Run> runs_;
    std::vector<Id> free_runs_;
    std::deque<Leaf> leaves_;
    std::vector<std::uint32_t> free_leaves_;
    List inactive_;
    List active_;
    List held_;
};

}  // namespace fusesim::host

#include "host/page_cache.h"

#include <algorithm>
#include <cmath>

namespace fusesim::host {

namespace {

constexpr std::uint64_t pages_per_gib = (1ull << 30) / 4096;

}  // namespace

Mapping::~Mapping() {
    clear();
}

bool Mapping::contains(std::uint64_t page) const {
    return cache_.find(*this, page) != 0;
}

std::uint64_t Mapping::add(std::uint64_t first, std::uint64_t count) {
    return cache_.add(*this, first, count);
}

std::uint64_t Mapping::remove(std::uint64_t first, std::uint64_t count) {
    const std::uint64_t before = count_;
    if (count_ > 0) {
        cache_.for_runs(*this, first, count, [&](PageCache::Id run) { cache_.drop(run); });
    }
    return before - count_;
}

void Mapping::clear() {
    remove(0, sections_.size() * PageCache::section_chunks * PageCache::chunk_pages);
    sections_.clear();
}

std::uint64_t Mapping::drop_clean() {
    const std::uint64_t before = count_;
    const std::uint64_t all = sections_.size() * PageCache::section_chunks * PageCache::chunk_pages;
    cache_.for_runs(*this, 0, all, [&](PageCache::Id run) {
        if (cache_.runs_[run].state != PageCache::State::held) {
            cache_.drop(run);
        }
    });
    return before - count_;
}

void Mapping::touch(std::uint64_t first, std::uint64_t count) {
    using State = PageCache::State;
    if (!cache_.limit_) {
        return;
    }
    cache_.for_runs(*this, first, count, [&](PageCache::Id run) {
        const State state = cache_.runs_[run].state;
        if (state == State::held || state == State::active) {
            return;
        }
        if (cache_.policy_ == PageCache::Policy::lru) {
            cache_.change(run, State::inactive);
        } else if (state == State::referenced) {
            cache_.change(run, State::active);
        } else {
            cache_.runs_[run].state = State::referenced;
            const PageCache::Id whole = cache_.merge_with_older(run);
            if (const PageCache::Id newer = cache_.runs_[whole].newer; newer != 0) {
                cache_.merge_with_older(newer);
            }
        }
    });
}

void Mapping::hold(std::uint64_t first, std::uint64_t count) {
    cache_.for_runs(*this, first, count, [&](PageCache::Id run) {
        if (cache_.runs_[run].state != PageCache::State::held) {
            cache_.change(run, PageCache::State::held);
        }
    });
}

void Mapping::release(std::uint64_t first, std::uint64_t count) {
    cache_.for_runs(*this, first, count, [&](PageCache::Id run) {
        if (cache_.runs_[run].state == PageCache::State::held) {
            cache_.change(run, PageCache::State::inactive);
        }
    });
    cache_.reclaim();
}

std::uint64_t Mapping::next_missing(std::uint64_t from, std::uint64_t end) const {
    while (from < end) {
        const PageCache::Id run = cache_.find(*this, from);
        if (run == 0) {
            return from;
        }
        from = cache_.runs_[run].first + cache_.runs_[run].count;
    }
    return end;
}

std::uint64_t Mapping::run_before(std::uint64_t before, std::uint64_t most) const {
    std::uint64_t first = before;
    while (first > 0 && before - first < most) {
        const PageCache::Id run = cache_.find(*this, first - 1);
        if (run == 0) {
            break;
        }
        first = cache_.runs_[run].first;
    }
    return std::min(most, before - first);
}

PageCache::PageCache(std::optional<std::uint64_t> limit_pages, Policy policy)
    : limit_(limit_pages), policy_(policy), runs_(1) {}

// --- from a page to its run

PageCache::Id PageCache::find(const Mapping& file, std::uint64_t page) const {
    const std::uint64_t chunk = page / chunk_pages;
    const std::uint64_t section = chunk / section_chunks;
    if (section >= file.sections_.size()) {
        return 0;
    }
    const std::vector<std::uint32_t>& chunks = file.sections_[section];
    if (chunk % section_chunks >= chunks.size()) {
        return 0;
    }
    const std::uint32_t entry = chunks[chunk % section_chunks];
    if ((entry & leaf_bit) != 0) {
        return leaves_[entry & ~leaf_bit].run[page % chunk_pages];
    }
    // The only run of this chunk, which need not have all of it.
    const Run& run = runs_[entry];
    return entry != 0 && page >= run.first && page - run.first < run.count ? entry : 0;
}

std::uint32_t* PageCache::entry(Mapping& file, std::uint64_t chunk, bool make) {
    const std::uint64_t section = chunk / section_chunks;
    const std::uint64_t at = chunk % section_chunks;
    if (section >= file.sections_.size()) {
        if (!make) {
            return nullptr;
        }
        file.sections_.resize(section + 1);
    }
    std::vector<std::uint32_t>& chunks = file.sections_[section];
    if (at >= chunks.size()) {
        if (!make) {
            return nullptr;
        }
        chunks.resize(at + 1);
    }
    return &chunks[at];
}

std::uint32_t PageCache::new_leaf() {
    if (free_leaves_.empty()) {
        leaves_.emplace_back();
        free_leaves_.push_back(static_cast<std::uint32_t>(leaves_.size() - 1));
    }
    const std::uint32_t leaf = free_leaves_.back();
    free_leaves_.pop_back();
    std::fill(std::begin(leaves_[leaf].run), std::end(leaves_[leaf].run), 0);
    return leaf;
}

void PageCache::fill_chunk(
    std::uint32_t& entry, std::uint64_t chunk, unsigned from, unsigned to, Id id) {
    if ((entry & leaf_bit) == 0) {
        const auto part = [&](const Run& run) {
            const std::uint64_t begin = std::max(run.first, chunk * chunk_pages);
            const std::uint64_t end = std::min(run.first + run.count, (chunk + 1) * chunk_pages);
            return std::pair(begin, end);
        };
        const auto [begin, end] = part(runs_[entry]);
        if (entry == 0 || entry == id || begin >= end) {
            entry = id;
            return;
        }
        if (id == 0) {
            return;  // the run in this chunk has pages left, and knows which
        }
        const std::uint32_t leaf = new_leaf();
        for (std::uint64_t page = begin; page < end; ++page) {
            leaves_[leaf].run[page % chunk_pages] = entry;
        }
        entry = leaf | leaf_bit;
    }
    Leaf& leaf = leaves_[entry & ~leaf_bit];
    std::fill(leaf.run + from, leaf.run + to, id);
    Id first = 0;
    bool several = false;
    for (const Id one : leaf.run) {
        first = first == 0 ? one : first;
        several = several || (one != 0 && one != first);
    }
    if (!several) {
        free_leaves_.push_back(entry & ~leaf_bit);
        entry = first;
    }
}

void PageCache::label(Mapping& file, std::uint64_t first, std::uint64_t count, Id id) {
    const std::uint64_t end = first + count;
    for (std::uint64_t page = first; page < end;) {
        const std::uint64_t chunk = page / chunk_pages;
        const std::uint64_t stop = std::min(end, (chunk + 1) * chunk_pages);
        std::uint32_t& at = *entry(file, chunk, true);
        fill_chunk(at,
                   chunk,
                   static_cast<unsigned>(page - chunk * chunk_pages),
                   static_cast<unsigned>(stop - chunk * chunk_pages),
                   id);
        page = stop;
    }
}

// --- runs

PageCache::Id PageCache::new_run(Mapping& file,
                                 std::uint64_t first,
                                 std::uint64_t count,
                                 State state) {
    if (free_runs_.empty()) {
        runs_.emplace_back();
        free_runs_.push_back(static_cast<Id>(runs_.size() - 1));
    }
    const Id id = free_runs_.back();
    free_runs_.pop_back();
    runs_[id] = Run{&file, first, count, 0, 0, state};
    return id;
}

std::pair<PageCache::Id, PageCache::Id> PageCache::split(Id id, std::uint64_t page) {
    // The smaller part gets a new name, so that parting a long run often stays cheap.
    Run& whole = runs_[id];
    const std::uint64_t first = whole.first;
    const std::uint64_t end = first + whole.count;
    Mapping& file = *whole.file;
    const State state = whole.state;
    const bool left_is_smaller = page - first < end - page;
    if (left_is_smaller) {
        whole.first = page;
        whole.count = end - page;
    } else {
        whole.count = page - first;
    }
    const Id part = left_is_smaller ? new_run(file, first, page - first, state)
                                    : new_run(file, page, end - page, state);
    label(file, runs_[part].first, runs_[part].count, part);
    List& list = list_of(state);
    Run& one = runs_[id];
    Run& other = runs_[part];
    if (left_is_smaller) {  // the part is older
        other.older = one.older;
        other.newer = id;
        (other.older != 0 ? runs_[other.older].newer : list.oldest) = part;
        one.older = part;
        return {part, id};
    }
    other.newer = one.newer;
    other.older = id;
    (other.newer != 0 ? runs_[other.newer].older : list.newest) = part;
    one.newer = part;
    return {id, part};
}

PageCache::Id PageCache::cut(Id id, std::uint64_t first, std::uint64_t count) {
    if (runs_[id].first < first) {
        id = split(id, first).second;
    }
    if (runs_[id].first + runs_[id].count > first + count) {
        id = split(id, first + count).first;
    }
    return id;
}

PageCache::Id PageCache::merge_with_older(Id id) {
    const Id older = runs_[id].older;
    if (older == 0) {
        return id;
    }
    const Run& before = runs_[older];
    const Run& run = runs_[id];
    if (before.file != run.file || before.state != run.state ||
        before.first + before.count != run.first) {
        return id;
    }
    const Id stays = before.count >= run.count ? older : id;
    const Id goes = stays == id ? older : id;
    const std::uint64_t first = before.first;
    const std::uint64_t count = before.count + run.count;
    const std::uint64_t goes_first = runs_[goes].first;
    const std::uint64_t goes_count = runs_[goes].count;
    unlink(goes);
    runs_[goes].count = 0;
    runs_[stays].first = first;
    runs_[stays].count = count;
    list_of(runs_[stays].state).pages += goes_count;
    label(*runs_[stays].file, goes_first, goes_count, stays);
    free_runs_.push_back(goes);
    return stays;
}

void PageCache::drop(Id id) {
    Run& run = runs_[id];
    unlink(id);
    Mapping& file = *run.file;
    const std::uint64_t first = run.first;
    const std::uint64_t count = run.count;
    run.count = 0;
    file.count_ -= count;
    pages_ -= count;
    label(file, first, count, 0);
    free_runs_.push_back(id);
}

template <class Visit>
void PageCache::for_runs(Mapping& file, std::uint64_t first, std::uint64_t count, Visit visit) {
    const std::uint64_t end = first + count;
    for (std::uint64_t page = first; page < end;) {
        const Id id = find(file, page);
        if (id == 0) {
            const std::uint64_t chunk = page / chunk_pages;
            if (chunk / section_chunks >= file.sections_.size()) {
                return;
            }
            const std::uint32_t* at = entry(file, chunk, false);
            page = at == nullptr ? (chunk / section_chunks + 1) * section_chunks * chunk_pages
                   : *at == 0    ? (chunk + 1) * chunk_pages
                                 : page + 1;
            continue;
        }
        const std::uint64_t stop = std::min(end, runs_[id].first + runs_[id].count);
        visit(cut(id, page, stop - page));
        page = stop;
    }
}

// --- lists

PageCache::List& PageCache::list_of(State state) {
    return state == State::held ? held_ : state == State::active ? active_ : inactive_;
}

void PageCache::push_newest(Id id) {
    Run& run = runs_[id];
    List& list = list_of(run.state);
    run.older = list.newest;
    run.newer = 0;
    (list.newest != 0 ? runs_[list.newest].newer : list.oldest) = id;
    list.newest = id;
    list.pages += run.count;
}

void PageCache::unlink(Id id) {
    Run& run = runs_[id];
    List& list = list_of(run.state);
    (run.older != 0 ? runs_[run.older].newer : list.oldest) = run.newer;
    (run.newer != 0 ? runs_[run.newer].older : list.newest) = run.older;
    list.pages -= run.count;
}

void PageCache::change(Id id, State state) {
    unlink(id);
    runs_[id].state = state;
    push_newest(id);
    merge_with_older(id);
}

std::uint64_t PageCache::add(Mapping& file, std::uint64_t first, std::uint64_t count) {
    const std::uint64_t end = first + count;
    const std::uint64_t before = file.count_;
    for (std::uint64_t page = first; page < end;) {
        if (const Id id = find(file, page); id != 0) {
            page = runs_[id].first + runs_[id].count;
            continue;
        }
        std::uint64_t stop = page + 1;
        while (stop < end && find(file, stop) == 0) {
            // A chunk without an entry has no page at all.
            const std::uint64_t chunk = stop / chunk_pages;
            const std::uint32_t* at = stop % chunk_pages == 0 ? entry(file, chunk, false) : nullptr;
            stop = stop % chunk_pages == 0 && (at == nullptr || *at == 0)
                       ? std::min(end, stop + chunk_pages)
                       : stop + 1;
        }
        const Id id = new_run(file, page, stop - page, State::inactive);
        file.count_ += stop - page;
        pages_ += stop - page;
        label(file, page, stop - page, id);
        push_newest(id);
        merge_with_older(id);
        page = stop;
    }
    const std::uint64_t added = file.count_ - before;
    reclaim();
    return added;
}

bool PageCache::inactive_is_low() const {
    const std::uint64_t gib = (inactive_.pages + active_.pages) / pages_per_gib;
    const auto ratio =
        gib > 0 ? static_cast<std::uint64_t>(std::sqrt(10.0 * static_cast<double>(gib))) : 1;
    return inactive_.pages * ratio < active_.pages;
}

void PageCache::reclaim() {
    while (limit_ && pages_ > *limit_) {
        if (active_.pages > 0 && inactive_is_low()) {
            const Id id = active_.oldest;
            change(cut(id, runs_[id].first, 1), State::inactive);
            continue;
        }
        const Id id = inactive_.oldest;
        if (id == 0) {
            return;  // all that is left is held: more than the limit, until it is written
        }
        const std::uint64_t most = active_.pages > 0 ? 1 : pages_ - *limit_;
        const std::uint64_t count = std::min(most, runs_[id].count);
        const Id part = cut(id, runs_[id].first, count);
        reclaimed_ += count;
        drop(part);
    }
}

}  // namespace fusesim::host

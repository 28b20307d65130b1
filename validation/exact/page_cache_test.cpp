#include "host/page_cache.h"

#include "sim/random.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

// The page cache keeps runs; here are pages, one by one.

using namespace fusesim;
using host::Mapping;
using host::PageCache;

namespace {

/// Which file and page is used next: sequential stretches, a hot part, and pages anywhere.
std::vector<std::pair<unsigned, std::uint64_t>> accesses(std::uint64_t seed, int count) {
    sim::Random random(seed, "accesses");
    std::vector<std::pair<unsigned, std::uint64_t>> out;
    while (static_cast<int>(out.size()) < count) {
        const auto file = static_cast<unsigned>(random.below(3));
        const std::uint64_t kind = random.below(3);
        std::uint64_t page = random.below(kind == 0 ? 40 : 700);
        const std::uint64_t run = kind == 2 ? 1 + random.below(150) : 1;
        for (std::uint64_t i = 0; i < run; ++i) {
            out.emplace_back(file, page++);
        }
    }
    return out;
}

/// Mattson's stack distances: how many different pages were used since the last use, by counting.
std::map<std::size_t, std::uint64_t> stack_distances(
    const std::vector<std::pair<unsigned, std::uint64_t>>& trace) {
    std::map<std::size_t, std::uint64_t> histogram;
    for (std::size_t i = 0; i < trace.size(); ++i) {
        std::set<std::pair<unsigned, std::uint64_t>> between;
        std::size_t j = i;
        while (j > 0 && trace[j - 1] != trace[i]) {
            between.insert(trace[--j]);
        }
        if (j > 0) {
            ++histogram[between.size()];
        }
    }
    return histogram;
}

/// The two lists, page by page.
struct TwoLists {
    using Page = std::pair<unsigned, std::uint64_t>;

    std::list<Page> inactive;  // the newest first
    std::list<Page> active;
    std::map<Page, bool> referenced;
    std::size_t limit;

    bool use(const Page& page) {
        if (std::find(active.begin(), active.end(), page) != active.end()) {
            return true;
        }
        const auto found = std::find(inactive.begin(), inactive.end(), page);
        if (found != inactive.end()) {
            if (std::exchange(referenced[page], true)) {
                inactive.erase(found);
                active.push_front(page);
            }
            return true;
        }
        inactive.push_front(page);
        referenced[page] = false;
        while (inactive.size() + active.size() > limit) {
            while (inactive.size() < active.size()) {
                referenced[active.back()] = false;
                inactive.splice(inactive.begin(), active, std::prev(active.end()));
            }
            inactive.pop_back();
        }
        // Read, and used at once.
        const auto there = std::find(inactive.begin(), inactive.end(), page);
        if (there != inactive.end()) {
            referenced[page] = true;
        }
        return false;
    }
};

struct Files {
    explicit Files(PageCache& cache) {
        for (int i = 0; i < 3; ++i) {
            files.push_back(std::make_unique<Mapping>(cache));
        }
    }

    bool use(const std::pair<unsigned, std::uint64_t>& page) {
        Mapping& file = *files[page.first];
        const bool hit = file.contains(page.second);
        if (!hit) {
            file.add(page.second, 1);
        }
        file.touch(page.second, 1);
        return hit;
    }

    std::vector<std::unique_ptr<Mapping>> files;
};

}  // namespace

TEST_CASE("hits of one list follow from stack distances, at every size of memory") {
    const auto trace = accesses(1, 6'000);
    const auto histogram = stack_distances(trace);
    for (const std::size_t limit : {1u, 2u, 7u, 40u, 100u, 333u, 1000u, 1500u, 3000u}) {
        PageCache cache(limit, PageCache::Policy::lru);
        Files files(cache);
        std::uint64_t hits = 0;
        for (const auto& page : trace) {
            hits += files.use(page) ? 1 : 0;
            REQUIRE(cache.pages() <= limit);
        }
        std::uint64_t expected = 0;
        for (const auto& [distance, count] : histogram) {
            expected += distance < limit ? count : 0;
        }
        INFO("memory of " << limit << " pages");
        CHECK(hits == expected);
    }
}

TEST_CASE("the two lists hold what lists of single pages hold") {
    for (const std::size_t limit : {5u, 64u, 200u, 900u}) {
        PageCache cache(limit);
        Files files(cache);
        TwoLists plain{{}, {}, {}, limit};
        const auto trace = accesses(2, 20'000);
        for (std::size_t i = 0; i < trace.size(); ++i) {
            const bool hit = files.use(trace[i]);
            if (hit != plain.use(trace[i])) {
                FAIL("memory of " << limit << " pages, access " << i);
            }
        }
        CHECK(cache.pages() == plain.inactive.size() + plain.active.size());
    }
}

TEST_CASE("pages that wait to be written stay, clean ones go") {
    PageCache cache(100);
    Mapping dirty(cache);
    Mapping clean(cache);
    dirty.add(0, 60);
    dirty.hold(10, 20);
    clean.add(0, 200);
    CHECK(cache.pages() == 100);
    CHECK(dirty.count() == 20);
    CHECK(dirty.next_missing(10) == 30);
    CHECK(clean.count() == 80);
    CHECK_FALSE(clean.contains(119));
    CHECK(clean.contains(120));
    CHECK(dirty.drop_clean() == 0);
    dirty.release(10, 20);
    CHECK(dirty.drop_clean() == 20);
    CHECK(cache.pages() == 80);
}

TEST_CASE("a terabyte in one stretch is one run, and parts where it is used") {
    PageCache cache(1ull << 28);
    Mapping file(cache);
    file.add(0, 1ull << 28);
    CHECK(cache.runs() == 1);
    sim::Random random(3, "pages");
    for (int i = 0; i < 1000; ++i) {
        const std::uint64_t page = random.below(1ull << 28);
        REQUIRE(file.contains(page));
        file.touch(page, 1);
    }
    CHECK(cache.runs() <= 2001);
    CHECK(file.count() == 1ull << 28);
    CHECK(file.next_missing(0) == 1ull << 28);
    CHECK(file.run_before(1ull << 28, ~0ull) == 1ull << 28);
    file.remove(5, 1);
    CHECK(file.next_missing(0) == 5);
    CHECK(cache.pages() == (1ull << 28) - 1);
}

TEST_CASE("against a plain set of pages, through everything that changes it") {
    PageCache cache;
    Mapping file(cache);
    std::set<std::uint64_t> plain;
    std::set<std::uint64_t> held;
    sim::Random random(4, "changes");
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t first = random.below(2'000);
        const std::uint64_t count = 1 + random.below(1 + random.below(300));
        switch (random.below(4)) {
            case 0:
                file.add(first, count);
                for (std::uint64_t page = first; page < first + count; ++page) {
                    plain.insert(page);
                }
                break;
            case 1: {
                std::uint64_t removed = 0;
                for (std::uint64_t page = first; page < first + count; ++page) {
                    removed += plain.erase(page);
                    held.erase(page);
                }
                REQUIRE(file.remove(first, count) == removed);
                break;
            }
            case 2:
                file.hold(first, count);
                for (std::uint64_t page = first; page < first + count; ++page) {
                    if (plain.count(page) > 0) {
                        held.insert(page);
                    }
                }
                break;
            default:
                file.release(first, count);
                for (std::uint64_t page = first; page < first + count; ++page) {
                    held.erase(page);
                }
        }
        REQUIRE(file.count() == plain.size());
        REQUIRE(file.contains(first) == (plain.count(first) > 0));
        std::uint64_t missing = first;
        while (plain.count(missing) > 0) {
            ++missing;
        }
        REQUIRE(file.next_missing(first) == missing);
        if (i % 1000 == 999) {
            file.drop_clean();
            plain = held;
            REQUIRE(file.count() == plain.size());
        }
    }
}

#include "trace/content_hash.h"

#include "trace/column.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <cstring>
#include <type_traits>

namespace fusesim::trace {

namespace {

constexpr std::size_t batch = 32 * 1024;
// All fixed members at 9 bytes, two name heads, the closing 0.
constexpr std::size_t largest_fixed_part = 9 * column_limit + 1;

}  // namespace

struct ContentHash::State {
    XXH64_state_t* hash = XXH64_createState();
    std::size_t used = 0;
    unsigned char bytes[batch];

    State() { XXH64_reset(hash, 0); }

    State(const State&) = delete;
    State& operator=(const State&) = delete;

    ~State() { XXH64_freeState(hash); }

    void drain() {
        XXH64_update(hash, bytes, used);
        used = 0;
    }

    void put(std::uint64_t value) {
        for (int i = 0; i < 8; ++i) {
            bytes[used++] = static_cast<unsigned char>(value >> (8 * i));
        }
    }

    void put(const std::string& name) {
        put(name.size());
        if (used + name.size() + largest_fixed_part > batch) {
            drain();
            XXH64_update(hash, name.data(), name.size());
            return;
        }
        std::memcpy(bytes + used, name.data(), name.size());
        used += name.size();
    }

    template <class Member>
    void set(Column column, const Member& member) {
        if (is_unset(member)) {
            return;
        }
        bytes[used++] = static_cast<unsigned char>(column);
        if constexpr (std::is_same_v<Member, std::string>) {
            put(member);
        } else {
            put(static_cast<std::uint64_t>(member));
        }
    }
};

ContentHash::ContentHash() : state_(std::make_unique<State>()) {}

ContentHash::ContentHash(ContentHash&&) noexcept = default;
ContentHash& ContentHash::operator=(ContentHash&&) noexcept = default;
ContentHash::~ContentHash() = default;

void ContentHash::add(const Record& record) {
    State& state = *state_;
    if (state.used + largest_fixed_part > batch) {
        state.drain();
    }
    for_each_member(record,
                    [&state](Column column, const auto& member) { state.set(column, member); });
    state.bytes[state.used++] = 0;
}

std::uint64_t ContentHash::value() const {
    state_->drain();
    return XXH64_digest(state_->hash);
}

std::string hash_text(std::uint64_t hash) {
    return fmt::format("{:016x}", hash);
}

}  // namespace fusesim::trace

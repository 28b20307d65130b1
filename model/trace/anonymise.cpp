#include "trace/anonymise.h"

#include "fuse/opcode.h"
#include "trace/call.h"

#include <algorithm>
#include <bit>

namespace fusesim::trace {

namespace {

// 64 symbols carry 6 bits each: 11 of them hold a whole 64-bit hash.
constexpr std::string_view symbols =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
constexpr std::size_t whole_hash = 11;
constexpr std::size_t longest_extension = 8;

constexpr std::string_view known_attributes[] = {"security.capability",
                                                 "security.selinux",
                                                 "security.ima",
                                                 "security.evm",
                                                 "system.posix_acl_access",
                                                 "system.posix_acl_default"};

std::uint64_t word(const std::uint8_t* from, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
        value |= std::uint64_t{from[i]} << (8 * i);
    }
    return value;
}

bool is_known_attribute(std::string_view name) {
    return std::find(std::begin(known_attributes), std::end(known_attributes), name) !=
           std::end(known_attributes);
}

// Which of the two names is an extended attribute's: 0 none, 1 name, 2 name2.
int attribute_name(std::uint32_t opcode, Layer layer) {
    if (layer == Layer::fuse) {
        const auto request = fuse::Opcode{opcode};
        return request == fuse::Opcode::getxattr || request == fuse::Opcode::setxattr ||
                       request == fuse::Opcode::removexattr
                   ? 1
                   : 0;
    }
    const auto call = Call{opcode};
    return call == Call::getxattr || call == Call::setxattr || call == Call::removexattr ? 2 : 0;
}

// ".tar" of "a.tar", with its dot; "" if there is none worth keeping.
std::string_view extension(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) {
        return "";
    }
    const std::string_view found = name.substr(dot);
    const bool plain =
        found.size() > 1 && found.size() <= longest_extension + 1 &&
        std::all_of(found.begin() + 1, found.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        });
    return plain ? found : "";
}

}  // namespace

std::uint64_t siphash(const Key& key, std::string_view bytes) {
    const std::uint64_t low = word(key.data(), 8);
    const std::uint64_t high = word(key.data() + 8, 8);
    std::uint64_t v0 = low ^ 0x736f6d6570736575U;
    std::uint64_t v1 = high ^ 0x646f72616e646f6dU;
    std::uint64_t v2 = low ^ 0x6c7967656e657261U;
    std::uint64_t v3 = high ^ 0x7465646279746573U;
    const auto rounds = [&](int count) {
        for (int i = 0; i < count; ++i) {
            v0 += v1;
            v1 = std::rotl(v1, 13) ^ v0;
            v0 = std::rotl(v0, 32);
            v2 += v3;
            v3 = std::rotl(v3, 16) ^ v2;
            v0 += v3;
            v3 = std::rotl(v3, 21) ^ v0;
            v2 += v1;
            v1 = std::rotl(v1, 17) ^ v2;
            v2 = std::rotl(v2, 32);
        }
    };
    const auto* at = reinterpret_cast<const std::uint8_t*>(bytes.data());
    const std::size_t whole = bytes.size() / 8 * 8;
    for (std::size_t i = 0; i < whole; i += 8) {
        const std::uint64_t m = word(at + i, 8);
        v3 ^= m;
        rounds(2);
        v0 ^= m;
    }
    const std::uint64_t last =
        word(at + whole, bytes.size() - whole) | static_cast<std::uint64_t>(bytes.size()) << 56;
    v3 ^= last;
    rounds(2);
    v0 ^= last;
    v2 ^= 0xff;
    rounds(4);
    return v0 ^ v1 ^ v2 ^ v3;
}

std::string Anonymiser::component(std::string_view name) const {
    if (name.empty() || name == "." || name == "..") {
        return std::string(name);
    }
    const std::string_view kept = keep_extensions_ ? extension(name) : "";
    const std::size_t length = std::max(name.size() - kept.size(), whole_hash);
    std::string hashed;
    std::string input(name);
    while (hashed.size() < length) {
        std::uint64_t hash = siphash(key_, input);
        const std::size_t take = std::min(whole_hash, length - hashed.size());
        for (std::size_t i = 0; i < take; ++i) {
            hashed += symbols[hash & 63];
            hash >>= 6;
        }
        // Names hold no NUL: what follows is the hash of nobody's name.
        input += '\0';
    }
    hashed += kept;
    return hashed;
}

std::string Anonymiser::path(std::string_view path) const {
    std::string out;
    std::size_t at = 0;
    for (;;) {
        const std::size_t slash = std::min(path.find('/', at), path.size());
        out += component(path.substr(at, slash - at));
        if (slash == path.size()) {
            return out;
        }
        out += '/';
        at = slash + 1;
    }
}

void Anonymiser::apply(Record& record, Layer layer) {
    const int attribute = attribute_name(record.opcode, layer);
    if (!(attribute == 1 && is_known_attribute(record.name))) {
        record.name = path(record.name);
    }
    if (!(attribute == 2 && is_known_attribute(record.name2))) {
        record.name2 = path(record.name2);
    }
}

void Anonymiser::apply(Header& header) const {
    header.anonymised = true;
    for (auto& [key, value] : header.facts) {
        if (value.find_first_of("/@:\\") != std::string::npos) {
            value = "removed";
        }
    }
    const std::string how = std::string(
                                "siphash of each component, as long as the name and at "
                                "least 11 characters") +
                            (keep_extensions_ ? ", extensions kept" : "");
    const auto old = std::find_if(header.facts.begin(), header.facts.end(), [](const auto& fact) {
        return fact.first == "names";
    });
    if (old == header.facts.end()) {
        header.facts.emplace_back("names", how);
    } else {
        old->second = how;
    }
}

}  // namespace fusesim::trace

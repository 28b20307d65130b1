#include "trace/header.h"

#include "trace/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace fusesim::trace {

namespace {

constexpr std::string_view keys[] = {
    "layer", "tool", "kernel", "clock", "started", "cpus", "protocol", "lost", "anonymised"};

// UTF-8 stays readable in a header, unlike in names.
void encode_value(std::string_view value, bool is_key, std::string& out) {
    constexpr char digits[] = "0123456789ABCDEF";
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '%' || (is_key && c == ':')) {
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out += c;
        }
    }
}

void put(std::string& out, std::string_view key, std::string_view value) {
    out += key;
    out += ": ";
    encode_value(value, false, out);
    out += '\n';
}

template <class Number>
Number number(std::string_view key, std::string_view text, const config::Place& place) {
    Number value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
        throw config::Error(place, fmt::format("{} is '{}', not a number in range", key, text));
    }
    return value;
}

}  // namespace

void percent_encode(std::string_view bytes, std::string_view also, std::string& out) {
    constexpr char digits[] = "0123456789ABCDEF";
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= 0x20 || byte >= 0x7f || c == '%' || also.find(c) != std::string_view::npos) {
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        } else {
            out += c;
        }
    }
}

bool percent_decode(std::string_view text, std::string& out) {
    out.clear();
    if (text.find('%') == std::string_view::npos) {
        out = text;
        return true;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        unsigned byte = 0;
        if (i + 2 >= text.size()) {
            return false;
        }
        const char* const from = text.data() + i + 1;
        const auto parsed = std::from_chars(from, from + 2, byte, 16);
        if (parsed.ec != std::errc() || parsed.ptr != from + 2) {
            return false;
        }
        out += static_cast<char>(byte);
        i += 2;
    }
    return true;
}

void parse_lines(std::string_view text, HeaderParser& parser, const config::Place& place) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        if (end > 0) {
            parser.line(text.substr(0, end), place);
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

std::string header_lines(const Header& header) {
    std::string out;
    put(out, "layer", layer_name(header.layer));
    const std::pair<std::string_view, const std::string&> texts[] = {{"tool", header.tool},
                                                                     {"kernel", header.kernel},
                                                                     {"clock", header.clock},
                                                                     {"started", header.started}};
    for (const auto& [key, value] : texts) {
        if (!value.empty()) {
            put(out, key, value);
        }
    }
    if (header.cpus != 0) {
        put(out, "cpus", std::to_string(header.cpus));
    }
    if (header.protocol_minor != 0) {
        put(out, "protocol", "7." + std::to_string(header.protocol_minor));
    }
    put(out, "lost", std::to_string(header.lost));
    if (header.anonymised) {
        put(out, "anonymised", "yes");
    }
    for (const auto& [key, value] : header.facts) {
        std::string name = "fact ";
        encode_value(key, true, name);
        put(out, name, value);
    }
    return out;
}

std::string changed_lines(const Header& before, const Header& now) {
    const std::string old_lines = "\n" + header_lines(before);
    const std::string new_lines = header_lines(now);
    std::string out;
    for (std::size_t at = 0; at < new_lines.size();) {
        const std::size_t next = new_lines.find('\n', at) + 1;
        const std::string line = new_lines.substr(at, next - at);
        if (old_lines.find("\n" + line) == std::string::npos) {
            out += line;
        }
        at = next;
    }
    return out;
}

void HeaderParser::line(std::string_view text, const config::Place& place) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
        throw config::Error(place,
                            fmt::format("'{}' is not a header line", text.substr(0, 40)),
                            "a header line reads key: value; the last one is columns:");
    }
    std::string key;
    if (!percent_decode(text.substr(0, colon), key)) {
        throw config::Error(place, "a % in the key is not followed by two hexadecimal digits");
    }
    std::string_view raw = text.substr(colon + 1);
    raw.remove_prefix(std::min(raw.find_first_not_of(' '), raw.size()));
    config::Place at = place;
    if (at.line > 0) {
        at.column += static_cast<int>(raw.data() - text.data());
    }
    std::string value;
    if (!percent_decode(raw, value)) {
        throw config::Error(
            at, "a % is not followed by two hexadecimal digits", "write a percent sign as %25");
    }
    if (!seen_.insert(key).second) {
        throw config::Error(place, fmt::format("duplicate key '{}' in the header", key));
    }
    if (key.starts_with("fact ")) {
        key.erase(0, 5);
        const auto old = std::find_if(header_.facts.begin(),
                                      header_.facts.end(),
                                      [&key](const auto& fact) { return fact.first == key; });
        if (old != header_.facts.end()) {
            old->second = value;
        } else {
            header_.facts.emplace_back(key, value);
        }
    } else if (key == "layer") {
        const std::optional<Layer> layer = layer_of(value);
        if (!layer) {
            throw config::Error(at, fmt::format("unknown layer '{}'", value), "fuse or syscall");
        }
        if (*layer == Layer::block) {
            throw config::Error(at, "layer block is reserved, traces of it cannot be read yet");
        }
        header_.layer = *layer;
        has_layer_ = true;
    } else if (key == "tool") {
        header_.tool = value;
    } else if (key == "kernel") {
        header_.kernel = value;
    } else if (key == "clock") {
        header_.clock = value;
    } else if (key == "started") {
        header_.started = value;
    } else if (key == "cpus") {
        header_.cpus = number<unsigned>(key, value, at);
    } else if (key == "protocol") {
        if (!value.starts_with("7.")) {
            throw config::Error(at, fmt::format("protocol is '{}'", value), "it reads 7.MINOR");
        }
        header_.protocol_minor = number<unsigned>(key, std::string_view(value).substr(2), at);
    } else if (key == "lost") {
        header_.lost = number<std::uint64_t>(key, value, at);
    } else if (key == "anonymised") {
        if (value != "yes" && value != "no") {
            throw config::Error(at, fmt::format("anonymised is '{}'", value), "yes or no");
        }
        header_.anonymised = value == "yes";
    } else {
        const std::string_view near = nearest(key, keys, std::size(keys));
        throw config::Error(place,
                            fmt::format("unknown key '{}' in the header", key),
                            near.empty() ? "free facts are written: fact KEY: VALUE"
                                         : fmt::format("did you mean '{}'?", near));
    }
}

void HeaderParser::complete(const config::Place& place) const {
    if (!has_layer_) {
        throw config::Error(place, "the header does not name the layer", "add: layer: fuse");
    }
}

}  // namespace fusesim::trace

#include "config/error.h"

#include <algorithm>
#include <tuple>

namespace fusesim::config {

namespace {

bool continues_character(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

/// The line of `source` that `place` names, without its end.
std::string_view line_of(const Place& place) {
    std::string_view rest = *place.source;
    for (int line = 1; line < place.line; ++line) {
        const auto end = rest.find('\n');
        if (end == std::string_view::npos) {
            return {};
        }
        rest.remove_prefix(end + 1);
    }
    rest = rest.substr(0, rest.find('\n'));
    if (rest.ends_with('\r')) {
        rest.remove_suffix(1);
    }
    return rest;
}

/// The offending line and, below it, a caret; "" if the text is not at hand.
std::string excerpt(const Place& place) {
    if (!place.source || place.line <= 0 || place.column <= 0) {
        return {};
    }
    std::string_view line = line_of(place);
    auto column = static_cast<std::size_t>(place.column - 1);
    if (line.empty() || column > line.size()) {
        return {};
    }
    // A line longer than a screen is shown from a little before the caret.
    constexpr std::size_t widest = 88;
    constexpr std::size_t before = 20;
    if (column > widest - before) {
        std::size_t cut = column - before;
        while (cut < column && continues_character(line[cut])) {
            ++cut;
        }
        line.remove_prefix(cut);
        column -= cut;
    }
    if (line.size() > widest) {
        std::size_t end = widest;
        while (end > column && continues_character(line[end])) {
            --end;
        }
        line = line.substr(0, end);
    }
    const std::string number = std::to_string(place.line);
    std::string text = "\n  " + number + " | ";
    std::string below = "\n  " + std::string(number.size(), ' ') + " | ";
    for (std::size_t i = 0; i < line.size(); ++i) {
        const bool tab = line[i] == '\t';
        text += tab || !is_control(line[i]) ? line[i] : '?';
        if (i < column && !continues_character(line[i])) {
            below += tab ? '\t' : ' ';
        }
    }
    return text + below + "^";
}

std::string compose(const std::vector<Problem>& problems) {
    std::string text;
    for (std::size_t i = 0; i < problems.size() && i < Error::max_shown; ++i) {
        text += (i == 0 ? "" : "\n") + problems[i].text();
    }
    if (problems.size() > Error::max_shown) {
        text += "\n... and " + std::to_string(problems.size() - Error::max_shown) + " more errors";
    }
    return text;
}

std::vector<Problem> sorted(std::vector<Problem> problems) {
    const auto key = [](const Problem& p) {
        return std::tie(p.place.file, p.place.line, p.place.column, p.place.offset);
    };
    std::stable_sort(problems.begin(), problems.end(), [&](const Problem& a, const Problem& b) {
        return key(a) < key(b);
    });
    return problems;
}

}  // namespace

std::string Place::text() const {
    if (line > 0) {
        return file + ":" + std::to_string(line) + ":" + std::to_string(column);
    }
    if (offset >= 0) {
        return file + ":byte " + std::to_string(offset);
    }
    return file;
}

std::string Problem::text() const {
    std::string result = place.text() + ": error: " + message + excerpt(place);
    if (!hint.empty()) {
        result += "\n  hint: " + hint;
    }
    return result;
}

Error::Error(const Place& place, const std::string& message, const std::string& hint)
    : Error(std::vector<Problem>{{place, message, hint}}) {}

Error::Error(std::vector<Problem> problems)
    : std::runtime_error(compose(sorted(problems))), problems_(sorted(std::move(problems))) {}

void Problems::raise() const {
    if (!all_.empty()) {
        throw Error(all_);
    }
}

std::string shown(std::string_view text) {
    constexpr std::size_t longest = 60;
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (result.size() >= longest && !continues_character(text[i])) {
            return result + "...";
        }
        result += is_control(text[i]) ? '?' : text[i];
    }
    return result;
}

}  // namespace fusesim::config

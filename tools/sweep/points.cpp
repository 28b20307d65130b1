#include "points.h"

#include "config/error.h"
#include "config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <regex>

namespace fusesim::sweep {

namespace {

/// More points than anybody waits for; a range that runs away.
constexpr std::size_t most_values = 100'000;

[[noreturn]] void refuse(const std::string& what, const std::string& hint) {
    throw config::Error({"command line"}, what, hint);
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    int depth = 0;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quote != 0) {
            quote = c == quote ? '\0' : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '[' || c == '{' || c == '(') {
            ++depth;
        } else if (c == ']' || c == '}' || c == ')') {
            --depth;
        } else if (c == ',' && depth == 0) {
            parts.emplace_back(config::trimmed(text.substr(begin, i - begin)));
            begin = i + 1;
        }
    }
    parts.emplace_back(config::trimmed(text.substr(begin)));
    return parts;
}

/// What a range stands for; nothing if the text is none.
std::optional<std::vector<std::string>> range(const std::string& text) {
    static const std::regex form(
        R"((-?[0-9]+(?:\.[0-9]+)?)\.\.(-?[0-9]+(?:\.[0-9]+)?)(?:([+*])([0-9]+(?:\.[0-9]+)?))?\s*([A-Za-z%]*))");
    std::smatch match;
    if (!std::regex_match(text, match, form)) {
        return std::nullopt;
    }
    const double first = std::stod(match[1]);
    const double last = std::stod(match[2]);
    const bool by_factor = match[3] == "*";
    const double step = match[4].matched ? std::stod(match[4]) : 1;
    if (last < first || (by_factor ? step <= 1 || first <= 0 : step <= 0)) {
        refuse(fmt::format("the range {} has no end", text),
               "e.g. 1..8, 0..100+25 or 1..64*2, from the lower to the higher");
    }
    const std::string unit = match[5].length() > 0 ? " " + match[5].str() : "";
    std::vector<std::string> values;
    double value = first;
    // By count rather than by sum, so that no error adds up.
    const double end = last + std::abs(last) * 1e-12 + 1e-12;
    for (std::size_t i = 0; value <= end; ++i) {
        if (i == most_values) {
            refuse(fmt::format("the range {} has more than {} values", text, most_values),
                   "take a larger step");
        }
        values.push_back(fmt::format("{:.12g}{}", value, unit));
        const auto n = static_cast<double>(i + 1);
        value = by_factor ? first * std::pow(step, n) : first + step * n;
    }
    return values;
}

std::pair<std::string, std::string> key_and_rest(const std::string& text, const char* form) {
    const std::size_t equals = text.find('=');
    std::string key(config::trimmed(std::string_view(text).substr(0, equals)));
    if (equals == std::string::npos || key.empty()) {
        refuse(fmt::format("'{}' is not of the form {}", text, form),
               "fusesim sweep --help has examples");
    }
    return {key, std::string(config::trimmed(std::string_view(text).substr(equals + 1)))};
}

}  // namespace

std::vector<std::string> expanded(const std::string& text) {
    return range(text).value_or(std::vector{text});
}

Param parse_param(const std::string& text) {
    const auto [key, rest] = key_and_rest(text, "KEY=VALUES");
    Param param{key, {}};
    for (const std::string& part : split(rest)) {
        if (part.empty()) {
            refuse(fmt::format("an empty value for {}", key), "e.g. " + key + "=12,64");
        }
        const std::vector<std::string> values = expanded(part);
        param.values.insert(param.values.end(), values.begin(), values.end());
    }
    return param;
}

Settings parse_exclusion(const std::string& text) {
    Settings settings;
    for (const std::string& part : split(text)) {
        settings.push_back(key_and_rest(part, "KEY=VALUE,KEY=VALUE"));
    }
    return settings;
}

std::vector<Settings> points(const std::vector<Param>& params,
                             const std::vector<Settings>& exclusions) {
    for (const Settings& exclusion : exclusions) {
        for (const auto& [key, value] : exclusion) {
            const auto param = std::find_if(params.begin(),
                                            params.end(),
                                            [&key = key](const Param& p) { return p.key == key; });
            if (param == params.end() ||
                std::find(param->values.begin(), param->values.end(), value) ==
                    param->values.end()) {
                refuse(fmt::format("no point has {}={}, which is to be left out", key, value),
                       "values are compared as they are written");
            }
        }
    }
    std::vector<Settings> all{{}};
    for (const Param& param : params) {
        std::vector<Settings> longer;
        for (const Settings& settings : all) {
            for (const std::string& value : param.values) {
                longer.push_back(settings);
                longer.back().emplace_back(param.key, value);
            }
        }
        all = std::move(longer);
        if (all.size() > most_values) {
            refuse(fmt::format("more than {} points", most_values), "leave some values out");
        }
    }
    const auto excluded = [&](const Settings& settings) {
        return std::any_of(exclusions.begin(), exclusions.end(), [&](const Settings& exclusion) {
            return std::all_of(exclusion.begin(), exclusion.end(), [&](const auto& one) {
                return std::find(settings.begin(), settings.end(), one) != settings.end();
            });
        });
    };
    all.erase(std::remove_if(all.begin(), all.end(), excluded), all.end());
    return all;
}

std::string to_text(const Settings& settings) {
    std::string text;
    for (const auto& [key, value] : settings) {
        text += fmt::format("{}{}={}", text.empty() ? "" : " ", key, value);
    }
    return text;
}

}  // namespace fusesim::sweep

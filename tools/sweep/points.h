#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fusesim::sweep {

/// One setting and the values it takes.
struct Param {
    std::string key;
    std::vector<std::string> values;
};

/// `key=a,b,c`; commas within brackets, braces and quotes do not part values. A value of the form
/// `1..8`, `0..100+25` or `4..1024*4 KiB` stands for a range: by ones, by a step, by a factor; what
/// follows the numbers is the unit of all. Throws config::Error.
Param parse_param(const std::string& text);

/// The values that `text` stands for: a range's, or itself.
std::vector<std::string> expanded(const std::string& text);

/// The settings of one point, in the order of the parameters.
using Settings = std::vector<std::pair<std::string, std::string>>;

/// `key=value,key=value`: points that have all of them are left out. Throws config::Error.
Settings parse_exclusion(const std::string& text);

/// Every combination, the last parameter fastest, but those that an exclusion matches.
std::vector<Settings> points(const std::vector<Param>& params,
                             const std::vector<Settings>& exclusions);

/// `key=value key=value`.
std::string to_text(const Settings& settings);

}  // namespace fusesim::sweep

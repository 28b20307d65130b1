#include "scale.h"

#include "config/error.h"
#include "config/map.h"
#include "config/nearest.h"
#include "config/units.h"
#include "system/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace fusesim::plan {

using config::Error;
using config::Setting;

namespace {

const config::Place command_line{"command line"};

Setting setting_of(const std::string& key) {
    std::vector<std::string> names;
    for (const Setting& setting : config::describe<system::Scenario>()) {
        if (setting.path == key) {
            return setting;
        }
        names.push_back(setting.path);
    }
    const std::string near = config::nearest(key, names);
    throw Error(
        command_line,
        fmt::format("there is no setting '{}'", key),
        near.empty() ? "fusesim describe lists them" : fmt::format("did you mean '{}'?", near));
}

std::vector<std::string> parts(const std::string& text, std::string_view separator) {
    std::vector<std::string> out;
    std::size_t begin = 0;
    while (true) {
        const std::size_t end = text.find(separator, begin);
        std::string part = text.substr(begin, end - begin);
        part.erase(0, part.find_first_not_of(' '));
        part.erase(part.find_last_not_of(' ') + 1);
        out.push_back(part);
        if (end == std::string::npos) {
            return out;
        }
        begin = end + separator.size();
    }
}

}  // namespace

Scale::Scale(const std::string& key, const std::string& range) : key_(key) {
    const Setting setting = setting_of(key);
    const std::string_view type = setting.type;
    if (range.find(',') != std::string::npos) {
        words_ = parts(range, ",");
        low_ = 1;
        high_ = static_cast<double>(words_.size());
        return;
    }
    if (type.starts_with("number") || type.starts_with("single, multi")) {
        low_ = 1;
        high_ = 1024;
    } else if (type.starts_with("rate")) {
        unit_ = Unit::rate;
        low_ = 1;
        high_ = 1e7;
    } else if (type.starts_with("size")) {
        unit_ = Unit::bytes;
        low_ = 4096;
        high_ = 1e12;
    } else if (type.starts_with("time")) {
        unit_ = Unit::nanoseconds;
        low_ = 1e3;
        high_ = 3.6e12;
    } else if (type.starts_with("decimal number")) {
        unit_ = Unit::real;
        low_ = 1e-3;
        high_ = 1e3;
    } else {
        throw Error(
            command_line,
            fmt::format("{} is a {}: what its values are, in order, must be said", key, type),
            "--range a,b,c, the most modest first");
    }
    const auto clamp_to = [this](const std::string& ends) {
        const auto both = parts(ends, "..");
        const auto low = both.size() == 2 ? parse(both[0]) : std::nullopt;
        const auto high = both.size() == 2 ? parse(both[1]) : std::nullopt;
        if (!low || !high || *low > *high) {
            throw Error(command_line,
                        fmt::format("--range {} is not of the form LO..HI", ends),
                        "e.g. 1..64, or 100 iops..50 kiops");
        }
        return std::pair(*low, *high);
    };
    if (!range.empty()) {
        std::tie(low_, high_) = clamp_to(range);
    } else if (!setting.range.empty()) {
        const auto [low, high] = clamp_to(setting.range);
        low_ = std::max(low_, low);
        high_ = std::min(high_, high);
    }
    if (low_ <= 0) {
        throw Error(command_line, "--range must begin above zero", "values are doubled and halved");
    }
}

std::optional<double> Scale::parse(const std::string& text) const {
    try {
        switch (unit_) {
            case Unit::count:
                return static_cast<double>(config::Format<std::uint64_t>::parse(text));
            case Unit::real:
                return config::Format<double>::parse(text);
            case Unit::rate:
                return config::Format<config::Rate>::parse(text).per_second;
            case Unit::bytes:
                return static_cast<double>(config::Format<config::Bytes>::parse(text).count);
            case Unit::nanoseconds:
                break;
        }
        return std::round(config::Format<sim::Time>::parse(text).seconds() * 1e9);
    } catch (const config::Mismatch&) {
        return std::nullopt;
    }
}

std::string Scale::text(double value) const {
    if (!words_.empty()) {
        return words_.at(static_cast<std::size_t>(value) - 1);
    }
    switch (unit_) {
        case Unit::count:
            return fmt::format("{:.0f}", value);
        case Unit::real:
            return fmt::format("{:.6g}", value);
        case Unit::rate:
            return fmt::format("{:.6g} iops", value);
        case Unit::bytes:
            return config::Format<config::Bytes>::text({static_cast<std::uint64_t>(value)});
        case Unit::nanoseconds:
            break;
    }
    return config::Format<sim::Time>::text(sim::Time::from_ns(static_cast<std::int64_t>(value)));
}

std::optional<double> Scale::value(const std::string& text) const {
    if (!words_.empty()) {
        const auto found = std::find(words_.begin(), words_.end(), text);
        return found == words_.end() ? std::nullopt
                                     : std::optional<double>(found - words_.begin() + 1);
    }
    if (text == "single") {
        return 1;
    }
    const auto number = parse(text);
    return number && *number > 0 ? number : std::nullopt;
}

std::string Scale::unit() const {
    if (!words_.empty()) {
        return "";
    }
    switch (unit_) {
        case Unit::rate:
            return "iops";
        case Unit::bytes:
            return "bytes";
        case Unit::nanoseconds:
            return "s";
        case Unit::count:
        case Unit::real:
            break;
    }
    return "";
}

double Scale::in_unit(double value) const {
    return words_.empty() && unit_ == Unit::nanoseconds ? value * 1e-9 : value;
}

}  // namespace fusesim::plan

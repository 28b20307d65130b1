#include "sim/distribution_format.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

namespace fusesim::config {

namespace {

using sim::Distribution;
using sim::Time;

std::vector<std::string_view> arguments(std::string_view list) {
    std::vector<std::string_view> all;
    for (;;) {
        const std::size_t comma = list.find(',');
        all.push_back(trimmed(list.substr(0, comma)));
        if (comma == std::string_view::npos) {
            return all;
        }
        list.remove_prefix(comma + 1);
    }
}

Time time(std::string_view text) {
    return Format<Time>::parse(text);
}

Distribution parse_quantiles(const std::vector<std::string_view>& arguments) {
    std::vector<std::pair<double, Time>> points;
    for (const std::string_view argument : arguments) {
        const std::size_t colon = argument.find(':');
        if (colon == std::string_view::npos) {
            throw Mismatch("has a quantile without a colon", "write quantiles(0: 1 us, 1: 9 us)");
        }
        points.emplace_back(Format<double>::parse(trimmed(argument.substr(0, colon))),
                            time(trimmed(argument.substr(colon + 1))));
    }
    try {
        return Distribution::quantiles(std::move(points));
    } catch (const std::invalid_argument& error) {
        throw Mismatch(std::string("is refused: ") + error.what());
    }
}

double coefficient(std::string_view text) {
    if (text.substr(0, 2) != "cv") {
        throw Mismatch("lacks its coefficient of variation", "write lognormal(20 us, cv 1.5)");
    }
    return Format<double>::parse(trimmed(text.substr(2)));
}

}  // namespace

Distribution Format<Distribution>::parse(std::string_view text) {
    text = trimmed(text);
    const std::size_t open = text.find('(');
    if (open == std::string_view::npos) {
        return Distribution::constant(time(text));
    }
    if (text.back() != ')') {
        throw Mismatch("lacks its closing parenthesis");
    }
    const std::string_view shape = trimmed(text.substr(0, open));
    const auto args = arguments(text.substr(open + 1, text.size() - open - 2));
    const auto expect = [&](std::size_t n) {
        if (args.size() != n) {
            throw Mismatch(fmt::format("gives {} {} values instead of {}", shape, args.size(), n));
        }
    };
    if (shape == "uniform") {
        expect(2);
        return Distribution::uniform(time(args[0]), time(args[1]));
    }
    if (shape == "exponential") {
        expect(1);
        return Distribution::exponential(time(args[0]));
    }
    if (shape == "normal") {
        expect(2);
        return Distribution::normal(time(args[0]), time(args[1]));
    }
    if (shape == "lognormal") {
        expect(2);
        return Distribution::lognormal(time(args[0]), coefficient(args[1]));
    }
    if (shape == "erlang") {
        expect(2);
        const unsigned stages = Format<unsigned>::parse(args[1]);
        if (stages == 0) {
            throw Mismatch("needs at least one stage");
        }
        return Distribution::erlang(time(args[0]), stages);
    }
    if (shape == "hyperexponential") {
        expect(3);
        return Distribution::hyperexponential(
            Format<Probability>::parse(args[0]).value, time(args[1]), time(args[2]));
    }
    if (shape == "quantiles") {
        return parse_quantiles(args);
    }
    throw Mismatch(fmt::format("names the unknown distribution '{}'", shape),
                   "known: a plain time, uniform, exponential, normal, lognormal, erlang, "
                   "hyperexponential, quantiles");
}

std::string Format<Distribution>::text(const Distribution& value) {
    const auto t = [](Time x) { return Format<Time>::text(x); };
    using Shape = Distribution::Shape;
    switch (value.shape()) {
        case Shape::constant:
            return t(value.mean());
        case Shape::uniform:
            return fmt::format("uniform({}, {})", t(value.a()), t(value.b()));
        case Shape::exponential:
            return fmt::format("exponential({})", t(value.a()));
        case Shape::normal:
            return fmt::format("normal({}, {})", t(value.a()), t(value.b()));
        case Shape::lognormal:
            return fmt::format("lognormal({}, cv {})", t(value.a()), value.p());
        case Shape::erlang:
            return fmt::format("erlang({}, {})", t(value.a()), value.stages());
        case Shape::hyperexponential:
            return fmt::format(
                "hyperexponential({}, {}, {})", value.p(), t(value.a()), t(value.b()));
        case Shape::quantiles: {
            std::string list;
            for (const auto& [p, at] : value.points()) {
                list += fmt::format("{}{}: {}", list.empty() ? "" : ", ", p, t(at));
            }
            return "quantiles(" + list + ")";
        }
    }
    return {};
}

}  // namespace fusesim::config

#include "report/numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace fusesim::report {

namespace {

struct Scale {
    std::string_view unit;
    double factor;
};

constexpr std::array<Scale, 5> time_scales{
    {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"ps", 1e-12}}};
constexpr std::array<Scale, 5> byte_scales{{{"TiB", 1099511627776.0},
                                            {"GiB", 1073741824.0},
                                            {"MiB", 1048576.0},
                                            {"KiB", 1024.0},
                                            {"B", 1}}};
constexpr std::array<Scale, 4> decimal_scales{{{"G", 1e9}, {"M", 1e6}, {"k", 1e3}, {"", 1}}};

/// Decimals that give a number below 1000 three significant digits.
int decimals(double number) {
    const double size = std::abs(number);
    // Half a unit of the last place is what rounding would carry.
    return size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
}

/// The largest scale in which the number, once rounded, is at least 1; else the smallest.
const Scale& scale_for(double value, std::span<const Scale> scales) {
    for (std::size_t i = 0; i + 1 < scales.size(); ++i) {
        const double step = scales[i].factor / scales[i + 1].factor;
        if (std::abs(value) / scales[i + 1].factor >= step - 0.5) {
            return scales[i];
        }
    }
    return scales.back();
}

std::string scaled(double value, std::span<const Scale> scales) {
    const Scale& scale = scale_for(value, scales);
    const double number = value / scale.factor;
    const std::string text = fmt::format("{:.{}f}", number, decimals(number));
    return scale.unit.empty() ? text : fmt::format("{} {}", text, scale.unit);
}

/// Characters of UTF-8 text.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

std::string clipped(std::string_view text, std::size_t most) {
    if (width(text) <= most) {
        return std::string(text);
    }
    std::string result(text);
    while (!result.empty() && width(result) > most - 1) {
        result.pop_back();
    }
    return result + "~";
}

}  // namespace

std::string time_text(double seconds) {
    return seconds == 0 ? "0 s" : scaled(seconds, time_scales);
}

std::string bytes_text(double bytes) {
    return std::abs(bytes) < 1023.5 ? fmt::format("{:.0f} B", bytes) : scaled(bytes, byte_scales);
}

std::string bandwidth_text(double bytes_per_s) {
    if (bytes_per_s == 0) {
        return "0 B/s";
    }
    const double megabytes = bytes_per_s / 1e6;
    return fmt::format(
        "{}/s ({:.{}f} MB/s)", bytes_text(bytes_per_s), megabytes, decimals(megabytes));
}

std::string rate_text(double per_s) {
    return per_s == 0 ? "0" : scaled(per_s, decimal_scales);
}

std::string count_text(std::uint64_t count) {
    return count < 10'000'000 ? std::to_string(count)
                              : scaled(static_cast<double>(count), decimal_scales);
}

std::string percent_text(double fraction) {
    const double percent = fraction * 100;
    return percent == 0 ? "0 %" : fmt::format("{:.{}f} %", percent, decimals(percent));
}

std::string error_text(double relative) {
    const double percent = relative * 100;
    return fmt::format("{:+.1f} %", std::abs(percent) < 0.05 ? 0.0 : percent);
}

std::string plain_text(double number) {
    if (number == std::round(number)) {
        return fmt::format("{:.0f}", number == 0 ? 0.0 : number);
    }
    int places = decimals(number);
    for (double size = std::abs(number); size < 0.9995 && places < 4; size *= 10) {
        ++places;
    }
    return fmt::format("{:.{}f}", number, places);
}

std::vector<std::string> parts_text(double whole_s, const std::vector<double>& parts_s) {
    const Scale& scale = scale_for(whole_s, time_scales);
    const double whole = whole_s / scale.factor;
    const int places = decimals(whole);
    const double step = std::pow(10.0, -places);
    const auto steps = [&](double number) { return std::llround(number / step); };

    // Largest remainder: round all down, then give what is missing to those that lost most.
    std::vector<long long> rounded;
    std::vector<std::pair<double, std::size_t>> lost;
    long long missing = steps(whole);
    for (std::size_t i = 0; i < parts_s.size(); ++i) {
        const double exact = parts_s[i] / scale.factor / step;
        const auto down = static_cast<long long>(std::floor(exact + 1e-9));
        rounded.push_back(down);
        lost.emplace_back(exact - static_cast<double>(down), i);
        missing -= down;
    }
    std::stable_sort(
        lost.begin(), lost.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (std::size_t i = 0; i < lost.size() && missing > 0; ++i, --missing) {
        ++rounded[lost[i].second];
    }
    std::vector<std::string> texts{time_text(whole_s)};
    for (const long long part : rounded) {
        texts.push_back(
            part == 0 ? "0" : fmt::format("{:.{}f}", static_cast<double>(part) * step, places));
    }
    return texts;
}

std::string Table::text() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], width(row[i]));
        }
    }
    std::size_t total = 0;
    for (const std::size_t w : widths) {
        total += w + 2;
    }
    total -= 2;
    constexpr std::size_t narrowest = 8;
    if (total > columns && widths[0] > narrowest) {
        widths[0] -= std::min(total - columns, widths[0] - narrowest);
    }
    std::string text;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string cell = i == 0 ? clipped(row[i], widths[0]) : row[i];
            const std::string space(widths[i] - width(cell), ' ');
            line += (i == 0 ? "" : "  ") + (i < left_ ? cell + space : space + cell);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

std::string wrapped(std::string_view sentence) {
    std::string text;
    std::size_t length = 0;
    while (!sentence.empty()) {
        const std::size_t end = sentence.find(' ');
        const std::string_view word = sentence.substr(0, end);
        if (length > 0 && length + 1 + width(word) > columns) {
            text += "\n";
            length = 0;
        }
        text += length > 0 ? " " : "";
        text += word;
        length += (length > 0 ? 1 : 0) + width(word);
        sentence.remove_prefix(end == std::string_view::npos ? sentence.size() : end + 1);
    }
    return text + "\n";
}

}  // namespace fusesim::report

#include "config/map.h"

#include "config/nearest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

namespace fusesim::config {

namespace {

std::string listed(const std::vector<std::string>& words) {
    constexpr std::size_t most = 20;
    std::string text;
    for (std::size_t i = 0; i < words.size() && i < most; ++i) {
        text += (i == 0 ? "" : ", ") + words[i];
    }
    return words.size() > most ? text + ", ..." : text;
}

/// "a.b" is below "a"; "a[].b" is, too; "ab" is not.
bool is_below(std::string_view path, std::string_view prefix) {
    return path.starts_with(prefix) && (prefix.empty() || path.size() == prefix.size() ||
                                        path[prefix.size()] == '.' || path[prefix.size()] == '[');
}

std::string_view last_key(std::string_view path) {
    return path.substr(path.find_last_of('.') + 1);
}

std::string_view parent(std::string_view path) {
    const auto dot = path.find_last_of('.');
    return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

}  // namespace

Map Map::reader(std::string path, const Value* value, detail::Reading& reading) {
    Map map(Mode::read, std::move(path));
    map.value_ = value;
    map.reading_ = &reading;
    map.problems_before_ = reading.problems.size();
    return map;
}

std::string Map::key_path(std::string_view name) const {
    return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

const Value* Map::take(std::string_view name) {
    known_.emplace_back(name);
    const Entry* entry = value_ != nullptr ? value_->find(name) : nullptr;
    return entry != nullptr ? &entry->value : nullptr;
}

bool Map::given(std::string_view name) const {
    return value_ != nullptr && value_->find(name) != nullptr;
}

Place Map::place(std::string_view name) const {
    if (value_ == nullptr) {
        return {};
    }
    const Entry* entry = value_->find(name);
    return entry != nullptr ? entry->value.place : value_->place;
}

void Map::check(bool holds,
                std::string_view name,
                const std::string& complaint,
                const std::string& hint) {
    if (mode_ == Mode::read && !holds && reading_->problems.size() == problems_before_) {
        reading_->problems.add(place(name), key_path(name) + " " + complaint, hint);
    }
}

void Map::finish() {
    if (tolerate_unknown_) {
        return;
    }
    for (const Entry& entry : value_->entries) {
        if (std::find(known_.begin(), known_.end(), entry.key) == known_.end()) {
            report_unknown(entry);
        }
    }
}

void Map::report_unknown(const Entry& entry) {
    std::string hint;
    const auto elsewhere = std::find_if(
        elsewhere_.begin(), elsewhere_.end(), [&](const auto& e) { return e.first == entry.key; });
    if (elsewhere != elsewhere_.end()) {
        hint = fmt::format("'{}' belongs to {}", entry.key, elsewhere->second);
    } else if (const std::string near = nearest(entry.key, known_); !near.empty()) {
        hint = fmt::format("did you mean '{}'?", near);
    } else {
        if (!reading_->settings) {
            reading_->settings = reading_->reference();
        }
        for (const Setting& setting : *reading_->settings) {
            if (last_key(setting.path) == entry.key) {
                hint = fmt::format("did you mean '{}'?", setting.path);
                break;
            }
        }
    }
    if (hint.empty()) {
        hint = known_.empty() ? "no keys are known here" : "keys here are " + listed(known_);
    }
    reading_->problems.add(
        entry.place,
        fmt::format(
            "unknown key '{}'{}", shown(entry.key), path_.empty() ? "" : " in " + shown(path_)),
        hint);
}

void Map::complain(const Value& value,
                   const std::string& path,
                   const std::string& complaint,
                   const std::string& hint) {
    reading_->problems.add(
        value.place, fmt::format("{} = '{}' {}", shown(path), shown(value.text), complaint), hint);
}

std::optional<std::size_t> Map::read_word(const Value& value,
                                          const std::string& path,
                                          const std::vector<std::string>& words) {
    const bool is_word = value.kind == Value::Kind::scalar ||
                         (value.kind == Value::Kind::null && !value.text.empty());
    const auto found = std::find(words.begin(), words.end(), value.text);
    if (is_word && found != words.end()) {
        return static_cast<std::size_t>(found - words.begin());
    }
    if (!is_word) {
        reading_->problems.add(value.place,
                               shown(path) + " must be " + one_of(words) + ", not " + value.what());
        return std::nullopt;
    }
    const std::string near = nearest(value.text, words);
    complain(value,
             path,
             "is not " + one_of(words),
             near.empty() ? "" : fmt::format("did you mean '{}'?", near));
    return std::nullopt;
}

const Value* Map::expect(const Value& value, const std::string& path, Value::Kind kind) {
    if (value.kind == kind) {
        return &value;
    }
    const bool list = kind == Value::Kind::list;
    const std::string name = path.empty() ? "a configuration" : shown(path);
    reading_->problems.add(
        value.place,
        fmt::format("{} must be a {}, not {}", name, list ? "list" : "map", value.what()),
        list && value.kind == Value::Kind::scalar ? fmt::format("write [{}]", shown(value.text))
                                                  : "");
    return nullptr;
}

std::string Map::one_of(const std::vector<std::string>& words) {
    return "one of " + listed(words);
}

std::string Map::flow_text(const Json& json) {
    switch (json.type()) {
        case Json::value_t::null:
            return "none";
        case Json::value_t::string:
            return json.get<std::string>();
        case Json::value_t::array: {
            std::string text;
            for (const Json& item : json) {
                text += (text.empty() ? "" : ", ") + flow_text(item);
            }
            return "[" + text + "]";
        }
        case Json::value_t::object: {
            std::string text;
            for (const auto& [key, item] : json.items()) {
                text += (text.empty() ? "" : ", ") + key + ": " + flow_text(item);
            }
            return "{" + text + "}";
        }
        case Json::value_t::number_float:
            return fmt::format("{}", json.get<double>());
        default:
            return json.dump();
    }
}

void Map::declare(std::string_view name,
                  std::string type,
                  const Json& initial,
                  std::string range,
                  std::string_view help) {
    settings_.push_back({key_path(name),
                         std::move(type),
                         flow_text(initial),
                         std::move(range),
                         std::string(help),
                         when_});
}

void Map::add_schema(std::string_view name, Json one, const Json& initial, std::string_view help) {
    one["description"] = help;
    if (!initial.is_null()) {
        one["default"] = initial;
    }
    out_[std::string(name)] = std::move(one);
}

void Map::merge_alternative(std::string_view key,
                            std::string_view word,
                            bool initial,
                            const Map& alternative) {
    Json own = Json::array();
    for (const auto& [name, one] : alternative.out_.items()) {
        own.push_back(name);
        if (!out_.contains(name)) {
            out_[name] = one;
        } else if (out_[name] != one) {
            Json& old = out_[name];
            if (!old.contains("anyOf") || old.size() != 1) {
                old = Json{{"anyOf", Json::array({old})}};
            }
            old["anyOf"].push_back(one);
        }
    }
    Json condition = {{"properties", {{std::string(key), {{"const", word}}}}}};
    if (!initial) {
        condition["required"] = Json::array({key});
    }
    variants_.push_back({std::string(key), {{"if", condition}, {"own", own}}});
    // Choices inside the alternative keep their rules; they only bind where it is chosen anyway.
    variants_.insert(variants_.end(), alternative.variants_.begin(), alternative.variants_.end());
}

Json Map::finished_schema(Map& map) {
    Json properties = std::move(map.out_);
    properties["from"] = {{"type", "string"},
                          {"description", "file whose keys are the defaults of this map"}};
    Json json = {
        {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    Json rules = Json::array();
    for (const auto& [key, variant] : map.variants_) {
        Json foreign = Json::object();
        for (const auto& [other_key, other] : map.variants_) {
            if (other_key != key) {
                continue;
            }
            for (const Json& name : other["own"]) {
                const Json& own = variant["own"];
                if (std::find(own.begin(), own.end(), name) == own.end()) {
                    foreign[name.get<std::string>()] = false;
                }
            }
        }
        if (!foreign.empty()) {
            rules.push_back({{"if", variant["if"]}, {"then", {{"properties", foreign}}}});
        }
    }
    if (!rules.empty()) {
        json["allOf"] = std::move(rules);
    }
    return json;
}

std::string describe_text(const std::vector<Setting>& settings, const std::string& key) {
    std::string text;
    for (const Setting& setting : settings) {
        if (!is_below(setting.path, key)) {
            continue;
        }
        text += setting.path + ": " + setting.type;
        if (setting.type != "map") {
            text += ", default " + (setting.initial.empty() ? "empty" : setting.initial);
        }
        if (!setting.range.empty()) {
            text += ", " + setting.range;
        }
        if (!setting.when.empty()) {
            text += ", only " + setting.when;
        }
        text += "\n    " + setting.help + "\n";
    }
    if (text.empty()) {
        std::vector<std::string> paths;
        for (const Setting& setting : settings) {
            paths.push_back(setting.path);
        }
        std::string near = nearest(key, paths);
        for (const std::string& path : paths) {
            if (near.empty() && last_key(path) == last_key(key)) {
                near = path;
            }
        }
        throw Error(Place{std::string(command_line)},
                    fmt::format("there is no setting '{}'", shown(key)),
                    near.empty() ? "" : fmt::format("did you mean '{}'?", near));
    }
    return text;
}

std::string reference_text(const std::vector<Setting>& settings) {
    std::string text;
    std::string section;
    bool open = false;
    const auto cell = [](std::string value) {
        for (std::size_t at = 0; (at = value.find('|', at)) != std::string::npos; at += 2) {
            value.insert(at, 1, '\\');
        }
        return value;
    };
    for (const Setting& setting : settings) {
        if (setting.type == "map") {
            text += fmt::format(
                "{}## {}\n\n{}\n", text.empty() ? "" : "\n", setting.path, setting.help);
            if (!setting.when.empty()) {
                text += fmt::format("\nOnly {}.\n", setting.when);
            }
            open = false;
            section = setting.path;
            continue;
        }
        if (parent(setting.path) != section) {
            section = parent(setting.path);
            text += fmt::format("\n## {}\n", section.empty() ? "(top level)" : section);
            open = false;
        }
        if (!open) {
            text += "\n| key | type | default | range | meaning |\n|---|---|---|---|---|\n";
            open = true;
        }
        const std::string help =
            setting.when.empty() ? setting.help : setting.help + " (only " + setting.when + ")";
        text += fmt::format("| {} | {} | {} | {} | {} |\n",
                            last_key(setting.path),
                            cell(setting.type),
                            cell(setting.initial),
                            setting.range,
                            cell(help));
    }
    return text;
}

std::string fingerprint(const Json& effective) {
    const std::string text = effective.dump();
    return fmt::format("{:016x}", XXH64(text.data(), text.size(), 0));
}

}  // namespace fusesim::config

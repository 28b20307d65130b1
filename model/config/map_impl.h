#pragma once

// The templates of map.h.

#include "config/map.h"

#include <algorithm>
#include <concepts>
#include <type_traits>

namespace fusesim::config {

template <>
struct Format<File> {
    static constexpr std::string_view type = "file";

    static File parse(std::string_view text) { return {std::string(text), std::string(text)}; }

    static std::string text(const File& value) { return value.written; }

    static Json json(const File& value) { return value.written; }

    static Json schema() { return {{"type", "string"}}; }
};

namespace detail {

/// Keeps a forgotten bind() from being answered by std::bind.
template <class T>
void declare_all(Map& map, T& member) {
    static_assert(std::is_void_v<decltype(bind(map, member))>, "bind(Map&, T&) must be declared");
    bind(map, member);
}

template <class U>
std::string range_text(const Range<U>* range) {
    return range ? Format<U>::text(range->lo) + ".." + Format<U>::text(range->hi) : std::string();
}

}  // namespace detail

template <class T, class U>
bool Map::read_value(const Value& value,
                     const std::string& path,
                     T& out,
                     const detail::Range<U>* range) {
    if constexpr (detail::is_optional<T>) {
        if (value.kind == Value::Kind::null) {
            out.reset();
            return true;
        }
        typename T::value_type inner{};
        if (!read_value<typename T::value_type, U>(value, path, inner, range)) {
            return false;
        }
        out = std::move(inner);
    } else if constexpr (detail::is_table<T>) {
        const Value* map = expect(value, path, Value::Kind::map);
        if (map == nullptr) {
            return false;
        }
        out.clear();
        bool fine = true;
        for (const Entry& entry : map->entries) {
            typename std::remove_cvref_t<decltype(*out.begin())>::second_type inner{};
            fine =
                read_value<decltype(inner), U>(entry.value, path + "." + entry.key, inner, range) &&
                fine;
            out.insert(out.end(), {entry.key, std::move(inner)});
        }
        return fine;
    } else if constexpr (detail::is_vector<T>) {
        const Value* list = expect(value, path, Value::Kind::list);
        if (list == nullptr) {
            return false;
        }
        out.clear();
        bool fine = true;
        for (std::size_t i = 0; i < list->items.size(); ++i) {
            typename T::value_type inner{};
            fine = read_value<typename T::value_type, U>(
                       list->items[i], path + "[" + std::to_string(i) + "]", inner, range) &&
                   fine;
            out.push_back(std::move(inner));
        }
        return fine;
    } else {
        if (value.kind != Value::Kind::scalar) {
            reading_->problems.add(
                value.place,
                path + " must be a " + std::string(Format<T>::type) + ", not " + value.what());
            return false;
        }
        try {
            T read = Format<T>::parse(value.text);
            if constexpr (std::totally_ordered<T>) {
                if (range && (read < range->lo || range->hi < read)) {
                    throw Mismatch("is outside " + detail::range_text(range));
                }
            }
            if constexpr (std::is_same_v<T, File>) {
                read.path = (folder_of(value.place) / read.written).lexically_normal().string();
            }
            out = std::move(read);
        } catch (const Mismatch& mismatch) {
            complain(value, path, mismatch.what(), mismatch.hint());
            return false;
        }
    }
    return true;
}

template <class T>
Json Map::json_of(const T& member) {
    if constexpr (detail::is_optional<T>) {
        return member ? json_of(*member) : Json();
    } else if constexpr (detail::is_table<T>) {
        Json json = Json::object();
        for (const auto& [key, value] : member) {
            json[key] = json_of(value);
        }
        return json;
    } else if constexpr (detail::is_vector<T>) {
        Json json = Json::array();
        for (const auto& value : member) {
            json.push_back(json_of<typename T::value_type>(value));
        }
        return json;
    } else {
        return Format<T>::json(member);
    }
}

template <class T>
std::string Map::type_of() {
    if constexpr (detail::is_optional<T>) {
        return type_of<typename T::value_type>() + ", optional";
    } else if constexpr (detail::is_table<T>) {
        return "map of " + type_of<std::remove_cvref_t<decltype(T().begin()->second)>>();
    } else if constexpr (detail::is_vector<T>) {
        return "list of " + type_of<typename T::value_type>();
    } else {
        return std::string(Format<T>::type);
    }
}

template <class T, class U>
Json Map::schema_of(const detail::Range<U>* range) {
    if constexpr (detail::is_optional<T>) {
        return {{"anyOf",
                 Json::array({schema_of<typename T::value_type, U>(range), {{"type", "null"}}})}};
    } else if constexpr (detail::is_table<T>) {
        using Inner = std::remove_cvref_t<decltype(T().begin()->second)>;
        return {{"type", "object"}, {"additionalProperties", schema_of<Inner, U>(range)}};
    } else if constexpr (detail::is_vector<T>) {
        return {{"type", "array"}, {"items", schema_of<typename T::value_type, U>(range)}};
    } else {
        Json json = Format<T>::schema();
        if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
            if (range) {
                json["minimum"] = range->lo;
                json["maximum"] = range->hi;
            }
        }
        return json;
    }
}

template <class T, class U>
void Map::handle(std::string_view name,
                 T& member,
                 const detail::Range<U>* range,
                 std::string_view help) {
    switch (mode_) {
        case Mode::read:
            if (const Value* value = take(name)) {
                read_value<T, U>(*value, key_path(name), member, range);
            }
            break;
        case Mode::echo:
            out_[std::string(name)] = json_of<T>(member);
            break;
        case Mode::describe:
            declare(name, type_of<T>(), json_of<T>(member), detail::range_text(range), help);
            break;
        case Mode::schema: {
            std::string text(help);
            if (range) {
                text += " (" + detail::range_text(range) + ")";
            }
            add_schema(name, schema_of<T, U>(range), json_of<T>(member), text);
            break;
        }
    }
}

template <class E>
void Map::field(std::string_view name,
                E& member,
                Words<std::type_identity_t<E>> words,
                std::string_view help) {
    std::vector<std::string> names;
    Json initial;
    for (const auto& [word, value] : words) {
        names.emplace_back(word);
        if (value == member && initial.is_null()) {
            initial = word;
        }
    }
    switch (mode_) {
        case Mode::read:
            if (const Value* value = take(name)) {
                if constexpr (detail::is_optional<E>) {
                    const bool is_word =
                        std::find(names.begin(), names.end(), value->text) != names.end();
                    if (value->kind == Value::Kind::null && !is_word) {
                        member.reset();
                        break;
                    }
                }
                if (const auto index = read_word(*value, key_path(name), names)) {
                    member = (words.begin() + *index)->second;
                }
            }
            break;
        case Mode::echo:
            out_[std::string(name)] = initial;
            break;
        case Mode::describe:
            declare(name, one_of(names), initial, "", help);
            break;
        case Mode::schema:
            add_schema(name, {{"enum", names}}, initial, help);
            break;
    }
}

template <class T>
void Map::read_map(const Value& value, const std::string& path, T& member) {
    Value empty;
    empty.place = value.place;
    const Value* map =
        value.kind == Value::Kind::null ? &empty : expect(value, path, Value::Kind::map);
    if (map != nullptr) {
        Map inner = reader(path, map, *reading_);
        detail::declare_all(inner, member);
        inner.finish();
    }
}

template <class T>
void Map::read_section(std::string_view name, T& member) {
    const Value* value = take(name);
    const std::string path = key_path(name);
    if constexpr (detail::is_optional<T>) {
        if (value != nullptr && value->kind != Value::Kind::null) {
            read_map(*value, path, member.emplace());
        } else if (value != nullptr) {
            member.reset();
        }
    } else if constexpr (detail::is_table<T>) {
        if (value == nullptr || expect(*value, path, Value::Kind::map) == nullptr) {
            return;
        }
        member.clear();
        for (const Entry& entry : value->entries) {
            typename std::remove_cvref_t<decltype(*member.begin())>::second_type inner{};
            read_map(entry.value, path + "." + entry.key, inner);
            member.insert(member.end(), {entry.key, std::move(inner)});
        }
    } else if constexpr (detail::is_vector<T>) {
        if (value == nullptr || expect(*value, path, Value::Kind::list) == nullptr) {
            return;
        }
        member.clear();
        for (std::size_t i = 0; i < value->items.size(); ++i) {
            typename T::value_type inner{};
            read_map(value->items[i], path + "[" + std::to_string(i) + "]", inner);
            member.push_back(std::move(inner));
        }
    } else {
        Value absent;
        absent.place = place("");
        read_map(value != nullptr ? *value : absent, path, member);
    }
}

template <class T>
Json Map::echo_section(T& member) {
    if constexpr (detail::is_table<T>) {
        Json json = Json::object();
        for (auto& [key, value] : member) {
            json[key] = echo_section(value);
        }
        return json;
    } else if constexpr (detail::is_vector<T>) {
        Json json = Json::array();
        for (auto& value : member) {
            json.push_back(echo_section(value));
        }
        return json;
    } else {
        Map inner(Mode::echo, "");
        detail::declare_all(inner, member);
        return std::move(inner.out_);
    }
}

template <class T>
void Map::describe_section(const std::string& path, T& member, std::string_view help) {
    if constexpr (detail::is_optional<T>) {
        typename T::value_type inner = member ? *member : typename T::value_type{};
        describe_section(path, inner, std::string(help) + " (optional)");
    } else if constexpr (detail::is_table<T>) {
        typename std::remove_cvref_t<decltype(*member.begin())>::second_type inner{};
        describe_section(path + ".*", inner, help);
    } else if constexpr (detail::is_vector<T>) {
        typename T::value_type inner{};
        describe_section(path + "[]", inner, help);
    } else {
        settings_.push_back({path, "map", "", "", std::string(help), when_});
        Map inner(Mode::describe, path);
        inner.when_ = when_;
        detail::declare_all(inner, member);
        settings_.insert(settings_.end(), inner.settings_.begin(), inner.settings_.end());
    }
}

template <class T>
Json Map::schema_map() {
    Map inner(Mode::schema, "");
    T initial{};
    detail::declare_all(inner, initial);
    return finished_schema(inner);
}

template <class T>
Json Map::schema_section() {
    if constexpr (detail::is_optional<T>) {
        return schema_section<typename T::value_type>();
    } else if constexpr (detail::is_table<T>) {
        using Inner = std::remove_cvref_t<decltype(T().begin()->second)>;
        return {{"type", "object"}, {"additionalProperties", schema_section<Inner>()}};
    } else if constexpr (detail::is_vector<T>) {
        return {{"type", "array"}, {"items", schema_section<typename T::value_type>()}};
    } else {
        return schema_map<T>();
    }
}

template <class T>
void Map::section(std::string_view name, T& member, std::string_view help) {
    switch (mode_) {
        case Mode::read:
            read_section(name, member);
            break;
        case Mode::echo:
            if constexpr (detail::is_optional<T>) {
                if (member) {
                    out_[std::string(name)] = echo_section(*member);
                }
            } else {
                out_[std::string(name)] = echo_section(member);
            }
            break;
        case Mode::describe:
            describe_section(key_path(name), member, help);
            break;
        case Mode::schema:
            add_schema(name, schema_section<T>(), Json(), help);
            break;
    }
}

template <class... Ts, std::size_t... Is>
void Map::alternatives(std::string_view name,
                       std::variant<Ts...>& member,
                       const std::array<std::string_view, sizeof...(Ts)>& words,
                       std::index_sequence<Is...> /*indices*/) {
    const std::string key(name);
    const auto describe_one = [&](auto index, std::string_view word) {
        Map inner(Mode::describe, path_);
        inner.when_ = (when_.empty() ? "with " : when_ + ", ") + key + ": " + std::string(word);
        std::variant_alternative_t<index.value, std::variant<Ts...>> other{};
        detail::declare_all(inner, other);
        return std::move(inner.settings_);
    };
    const auto each = [&](auto index) {
        const std::string_view word = words[index.value];
        const bool chosen = member.index() == index.value;
        switch (mode_) {
            case Mode::read:
                if (!chosen) {
                    for (const Setting& setting : describe_one(index, word)) {
                        std::string_view rest = setting.path;
                        rest.remove_prefix(path_.empty() ? 0 : path_.size() + 1);
                        elsewhere_.emplace_back(rest.substr(0, rest.find_first_of(".[")),
                                                key + ": " + std::string(word));
                    }
                }
                [[fallthrough]];
            case Mode::echo:
                if (chosen) {
                    detail::declare_all(*this, std::get<index.value>(member));
                }
                break;
            case Mode::describe: {
                const std::vector<Setting> more = describe_one(index, word);
                settings_.insert(settings_.end(), more.begin(), more.end());
                break;
            }
            case Mode::schema: {
                Map inner(Mode::schema, "");
                std::variant_alternative_t<index.value, std::variant<Ts...>> one{};
                detail::declare_all(inner, one);
                merge_alternative(key, word, chosen, inner);
                break;
            }
        }
    };
    (each(std::integral_constant<std::size_t, Is>{}), ...);
}

template <class... Ts>
void Map::choice(std::string_view name,
                 std::variant<Ts...>& member,
                 const std::array<std::string_view, sizeof...(Ts)>& words,
                 std::string_view help) {
    const std::vector<std::string> names(words.begin(), words.end());
    const auto indices = std::index_sequence_for<Ts...>{};
    switch (mode_) {
        case Mode::read:
            if (const Value* value = take(name)) {
                const auto index = read_word(*value, key_path(name), names);
                if (!index) {
                    tolerate_unknown_ = true;
                    return;
                }
                if (*index != member.index()) {
                    const auto make = [&]<std::size_t... Is>(std::index_sequence<Is...>) {
                        ((*index == Is ? void(member.template emplace<Is>()) : void()), ...);
                    };
                    make(indices);
                }
            }
            break;
        case Mode::echo:
            out_[std::string(name)] = names[member.index()];
            break;
        case Mode::describe:
            declare(name, one_of(names), names[member.index()], "", help);
            break;
        case Mode::schema:
            add_schema(name, {{"enum", names}}, names[member.index()], help);
            break;
    }
    alternatives(name, member, words, indices);
}

template <class T>
T read(const Value& value, const std::string& path) {
    detail::Reading reading;
    reading.reference = [&path] { return describe<T>(path); };
    T config{};
    Map outer = Map::reader("", nullptr, reading);
    outer.read_map(value, path, config);
    reading.problems.raise();
    return config;
}

template <class T>
T read(const Document& document) {
    return read<T>(document.root(), "");
}

template <class T>
Json echo(T config) {
    return Map::echo_section(config);
}

template <class T>
std::vector<Setting> describe(const std::string& prefix) {
    Map map(Map::Mode::describe, prefix);
    T config{};
    detail::declare_all(map, config);
    return std::move(map.settings_);
}

template <class T>
Json schema() {
    Json json = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}};
    json.update(Map::schema_map<T>());
    return json;
}

template <class T>
T parse(std::string_view text, std::string_view option) {
    try {
        return Format<T>::parse(text);
    } catch (const Mismatch& mismatch) {
        throw Error(Place{std::string(command_line)},
                    std::string(option) + " = '" + shown(text) + "' " + mismatch.what(),
                    mismatch.hint());
    }
}

}  // namespace fusesim::config

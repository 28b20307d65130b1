#pragma once

#include "config/document.h"
#include "config/error.h"
#include "config/units.h"
#include "config/value.h"

#include <array>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace fusesim::config {

/// One setting of the reference: what `fusesim describe` prints.
struct Setting {
    std::string path;     ///< "mount.max_background"; "[]" stands for an item, "*" for a free key
    std::string type;     ///< "time", "size", "one of a, b", "list of number", "map"
    std::string initial;  ///< default in canonical text
    std::string range;    ///< "1..65535", "" if not limited
    std::string help;
    std::string when;  ///< "with kind: ssd", "" for settings that are always there
};

/// The words that a choice may be set to.
template <class E>
using Words = std::initializer_list<std::pair<std::string_view, E>>;

namespace detail {

/// What all maps of one document share while they are read.
struct Reading {
    Problems problems;
    std::function<std::vector<Setting>()> reference;
    std::optional<std::vector<Setting>> settings;  // what reference() gave, once it was needed
};

template <class T>
struct Range {
    T lo;
    T hi;
};

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_table = false;
template <class T>
inline constexpr bool is_table<std::vector<std::pair<std::string, T>>> = true;
template <class T>
inline constexpr bool is_table<std::map<std::string, T>> = true;

/// What stands in a vector, an optional or a table; the type itself for all others.
template <class T>
struct Inner {
    using type = T;
};

template <class T>
struct Inner<std::optional<T>> : Inner<T> {};

template <class T>
struct Inner<std::vector<T>> : Inner<T> {};

template <class T>
struct Inner<std::vector<std::pair<std::string, T>>> : Inner<T> {};

template <class T>
struct Inner<std::map<std::string, T>> : Inner<T> {};

}  // namespace detail

/// The settings of one component, as its bind() declares them. The same declaration reads and
/// checks them, echoes them, describes them and gives their schema.
///
///     struct UringConfig { unsigned queue_depth = 8; sim::Time submit = 400_ns; };
///
///     void bind(config::Map& map, UringConfig& c) {
///         map.field("queue_depth", c.queue_depth, 1, 65'535, "ring entries per queue");
///         map.field("submit", c.submit, 0_ns, 1_ms, "one io_uring_enter() of the daemon");
///     }
///
/// Members may be any type with a Format, and std::optional (null when absent), std::vector,
/// std::map<std::string, ...> and std::vector<std::pair<std::string, ...>> (keys chosen by the
/// user, in the order of the file) of such.
class Map {
  public:
    enum class Mode { read, echo, describe, schema };

    /// bind() needs it only where the settings themselves depend on it.
    Mode mode() const { return mode_; }

    template <class T>
    void field(std::string_view name, T& member, std::string_view help) {
        handle<T, typename detail::Inner<T>::type>(name, member, nullptr, help);
    }

    /// The range includes both ends; it holds for each item of a list.
    template <class T>
    void field(std::string_view name,
               T& member,
               typename detail::Inner<T>::type lo,
               typename detail::Inner<T>::type hi,
               std::string_view help) {
        const detail::Range<typename detail::Inner<T>::type> range{lo, hi};
        handle<T, typename detail::Inner<T>::type>(name, member, &range, help);
    }

    /// One word of a table.
    template <class E>
    void field(std::string_view name,
               E& member,
               Words<std::type_identity_t<E>> words,
               std::string_view help);

    /// A map of its own, declared by bind(Map&, T&) of the member's type. An optional stays empty
    /// unless the section is there; a vector is a list of maps; a table is a map of maps.
    template <class T>
    void section(std::string_view name, T& member, std::string_view help);

    /// The key `name` picks an alternative of the variant, whose settings stand in this same map.
    /// `words` are the alternatives' names, in their order.
    template <class... Ts>
    void choice(std::string_view name,
                std::variant<Ts...>& member,
                const std::array<std::string_view, sizeof...(Ts)>& words,
                std::string_view help);

    /// A rule between settings: reported at `name` if the settings above could be read but do not
    /// hold. Other modes ignore it.
    void check(bool holds,
               std::string_view name,
               const std::string& complaint,
               const std::string& hint = "");

    /// True if the user wrote this key.
    bool given(std::string_view name) const;

    /// Where the value of this key was written, or the map if it was not.
    Place place(std::string_view name) const;

  private:
    Map(Mode mode, std::string path) : mode_(mode), path_(std::move(path)) {}

    static Map reader(std::string path, const Value* value, detail::Reading& reading);

    template <class T>
    friend T read(const Document& document);
    template <class T>
    friend T read(const Value& value, const std::string& path);
    template <class T>
    friend Json echo(T config);
    template <class T>
    friend std::vector<Setting> describe(const std::string& prefix);
    template <class T>
    friend Json schema();

    template <class T, class U>
    void handle(std::string_view name,
                T& member,
                const detail::Range<U>* range,
                std::string_view help);
    template <class T, class U>
    bool read_value(const Value& value,
                    const std::string& path,
                    T& out,
                    const detail::Range<U>* range);
    template <class T>
    static Json json_of(const T& member);
    template <class T>
    static std::string type_of();
    template <class T, class U>
    static Json schema_of(const detail::Range<U>* range);

    template <class T>
    void read_section(std::string_view name, T& member);
    template <class T>
    void read_map(const Value& value, const std::string& path, T& member);
    template <class T>
    static Json echo_section(T& member);
    template <class T>
    void describe_section(const std::string& path, T& member, std::string_view help);
    template <class T>
    static Json schema_section();
    template <class T>
    static Json schema_map();
    template <class... Ts, std::size_t... Is>
    void alternatives(std::string_view name,
                      std::variant<Ts...>& member,
                      const std::array<std::string_view, sizeof...(Ts)>& words,
                      std::index_sequence<Is...> indices);

    std::string key_path(std::string_view name) const;
    const Value* take(std::string_view name);
    void finish();
    void report_unknown(const Entry& entry);
    void complain(const Value& value,
                  const std::string& path,
                  const std::string& complaint,
                  const std::string& hint);
    std::optional<std::size_t> read_word(const Value& value,
                                         const std::string& path,
                                         const std::vector<std::string>& words);
    const Value* expect(const Value& value, const std::string& path, Value::Kind kind);
    void declare(std::string_view name,
                 std::string type,
                 const Json& initial,
                 std::string range,
                 std::string_view help);
    void add_schema(std::string_view name, Json one, const Json& initial, std::string_view help);
    void merge_alternative(std::string_view key,
                           std::string_view word,
                           bool initial,
                           const Map& alternative);
    static Json finished_schema(Map& map);
    static std::string flow_text(const Json& json);
    static std::string one_of(const std::vector<std::string>& words);

    Mode mode_;
    std::string path_;

    // Mode read; value_ is nullptr where the user wrote no such map.
    const Value* value_ = nullptr;
    detail::Reading* reading_ = nullptr;
    std::size_t problems_before_ = 0;
    bool tolerate_unknown_ = false;  // the choice that says which keys there are is itself wrong
    std::vector<std::string> known_;
    std::vector<std::pair<std::string, std::string>> elsewhere_;  // key, "kind: ssd"

    Json out_ = Json::object();                           // modes echo and schema
    std::vector<std::pair<std::string, Json>> variants_;  // mode schema: condition, own keys
    std::vector<Setting> settings_;                       // mode describe
    std::string when_;                                    // mode describe
};

/// Reads and checks a whole configuration; throws one Error with everything that is wrong.
template <class T>
T read(const Document& document);

/// The same for one value of a document; `path` leads to it.
template <class T>
T read(const Value& value, const std::string& path);

/// The effective configuration in canonical text; reading it again gives the same.
template <class T>
Json echo(T config);

/// Every setting with its default, in the order of declaration.
template <class T>
std::vector<Setting> describe(const std::string& prefix);

template <class T>
std::vector<Setting> describe() {
    return describe<T>(std::string());
}

/// JSON Schema, draft 2020-12, for editors.
template <class T>
Json schema();

/// Text of one setting and of all below it; an unknown key is an Error with the nearest key.
std::string describe_text(const std::vector<Setting>& settings, const std::string& key);

/// The whole reference in Markdown, one table a section.
std::string reference_text(const std::vector<Setting>& settings);

/// 16 hexadecimal digits that tell configurations apart (xxh64 of the compact JSON).
std::string fingerprint(const Json& effective);

/// Reads one value of the command line: parse<sim::Time>("10s", "--duration").
template <class T>
T parse(std::string_view text, std::string_view option);

}  // namespace fusesim::config

#include "config/map_impl.h"

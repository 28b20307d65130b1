#include "config/document.h"

#include "config/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <unordered_map>
#include <utility>

namespace fusesim::config {

namespace fs = std::filesystem;

namespace {

std::string read_file(const std::string& path, const Place& blame, const std::string& hint) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
        throw Error(blame, fmt::format("cannot read '{}': it is a folder", shown(path)), hint);
    }
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw Error(
            blame, fmt::format("cannot read '{}': {}", shown(path), std::strerror(errno)), hint);
    }
    std::string text;
    std::array<char, 1 << 14> part;
    while (text.size() <= Document::max_bytes && file.good()) {
        file.read(part.data(), part.size());
        text.append(part.data(), static_cast<std::size_t>(file.gcount()));
    }
    if (text.size() > Document::max_bytes) {
        throw Error(blame, fmt::format("'{}' is longer than 16 MiB", shown(path)));
    }
    return text;
}

bool is_inside(const fs::path& file, const fs::path& folder) {
    const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
    return end == folder.end() || end->empty();
}

fs::path real(const fs::path& path) {
    return fs::weakly_canonical(path.empty() ? "." : path);
}

/// The folder that includes of a document in `folder` must stay in.
fs::path default_root(const fs::path& folder) {
    const fs::path own = real(folder);
    for (fs::path at = own; at.has_relative_path(); at = at.parent_path()) {
        if (at.filename() == "configs") {
            return at;
        }
    }
    return own;
}

/// `over` wins; maps that both have are merged key by key.
void merge(Value& base, Value&& over) {
    if (base.kind != Value::Kind::map || over.kind != Value::Kind::map) {
        base = std::move(over);
        return;
    }
    base.place = over.place;
    std::unordered_map<std::string, std::size_t> index;
    for (std::size_t i = 0; i < base.entries.size(); ++i) {
        index.emplace(base.entries[i].key, i);
    }
    for (Entry& entry : over.entries) {
        if (const auto found = index.find(entry.key); found != index.end()) {
            Entry& old = base.entries[found->second];
            old.place = entry.place;
            merge(old.value, std::move(entry.value));
        } else {
            base.entries.push_back(std::move(entry));
        }
    }
}

/// Replaces `from:` by what it names, all the way down.
class Includes {
  public:
    Includes(fs::path root, bool anywhere, std::vector<std::string>& files, std::size_t& values)
        : root_(std::move(root)), anywhere_(anywhere), files_(files), values_(values) {}

    void resolve(Value& value, std::size_t depth = 0) {
        if (depth > Document::max_depth) {
            throw Error(
                value.place,
                fmt::format("more than {} maps and lists inside each other", Document::max_depth));
        }
        for (Value& item : value.items) {
            resolve(item, depth + 1);
        }
        std::optional<Entry> from;
        for (std::size_t i = 0; i < value.entries.size(); ++i) {
            if (value.entries[i].key == "from") {
                from = std::move(value.entries[i]);
                value.entries.erase(value.entries.begin() + static_cast<std::ptrdiff_t>(i));
                break;
            }
        }
        for (Entry& entry : value.entries) {
            resolve(entry.value, depth + 1);
        }
        if (from) {
            Value base = included(from->value, depth);
            merge(base, std::move(value));
            value = std::move(base);
        }
    }

    /// Files being read, outermost first; a name that comes twice is a cycle.
    void enter(const std::string& path) { reading_.push_back(real(path)); }

  private:
    Value included(const Value& name, std::size_t depth) {
        if (name.kind != Value::Kind::scalar || name.text.empty()) {
            throw Error(name.place, "from: needs the name of a file, not " + name.what());
        }
        const fs::path path = (folder_of(name.place) / name.text).lexically_normal();
        const fs::path target = real(path);
        // What stands on the command line was typed by whoever may read the file anyway.
        if (!anywhere_ && name.place.file != command_line && !is_inside(target, root_)) {
            throw Error(
                name.place,
                fmt::format("'{}' is outside the folder of this configuration", shown(name.text)),
                fmt::format("files named by from: must lie below {}", root_.string()));
        }
        if (std::find(reading_.begin(), reading_.end(), target) != reading_.end()) {
            throw Error(name.place, fmt::format("'{}' includes itself", shown(name.text)));
        }
        if (files_.size() >= Document::max_files) {
            throw Error(
                name.place,
                fmt::format("more than {} files in one configuration", Document::max_files));
        }
        Place first{path.string(), 1, 1};
        first.source = std::make_shared<const std::string>(
            read_file(path.string(), name.place, "from: is relative to the file it stands in"));
        files_.push_back(path.string());
        Value value = parse_yaml(*first.source, first, values_);
        if (value.kind == Value::Kind::null) {
            value.kind = Value::Kind::map;
        }
        if (value.kind != Value::Kind::map) {
            throw Error(value.place, "an included file must hold a map, not " + value.what());
        }
        reading_.push_back(target);
        resolve(value, depth + 1);
        reading_.pop_back();
        return value;
    }

    fs::path root_;
    bool anywhere_;
    std::vector<std::string>& files_;
    std::size_t& values_;
    std::vector<fs::path> reading_;
};

/// One --set of the command line.
struct Override {
    std::vector<std::string> keys;
    Value value;
    Place place;
};

std::shared_ptr<const std::string> joined(const std::vector<std::string>& overrides) {
    std::string text;
    for (const std::string& one : overrides) {
        text += one;
        text += '\n';
    }
    return std::make_shared<const std::string>(std::move(text));
}

Override parse_override(const std::string& text, const Place& place, std::size_t& values) {
    const std::string hint = "write key.path=value";
    check_text(text, fmt::format("{}:{}", command_line, place.line));
    if (text.find('\n') != std::string::npos) {
        Place whole = place;
        whole.source = nullptr;
        throw Error(whole, "an override is one line", hint);
    }
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
        throw Error(place, fmt::format("override '{}' has no '='", shown(text)), hint);
    }
    Override result;
    result.place = place;
    std::string_view path = std::string_view(text).substr(0, equals);
    while (true) {
        const std::size_t dot = path.find('.');
        const std::string_view key = path.substr(0, dot);
        if (key.empty() || key.find_first_of(" \t") != std::string_view::npos) {
            throw Error(place, fmt::format("override '{}' has no proper key", shown(text)), hint);
        }
        result.keys.emplace_back(key);
        if (dot == std::string_view::npos) {
            break;
        }
        path.remove_prefix(dot + 1);
    }
    if (result.keys.size() > Document::max_depth) {
        throw Error(place, "the key path is too long", hint);
    }
    Place first = place;
    first.column = static_cast<int>(equals) + 2;
    result.value = parse_yaml(text.substr(equals + 1), first, values);
    result.value.place = place;
    return result;
}

/// The item that a number picks from a list.
Value& item(Value& list, const std::string& key, const Place& place) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (error != std::errc() || end != key.data() + key.size() || index >= list.items.size()) {
        throw Error(place,
                    fmt::format("'{}' is not the number of an item of this list", shown(key)),
                    list.items.empty() ? "the list is empty"
                                       : fmt::format("items are 0 to {}", list.items.size() - 1));
    }
    return list.items[index];
}

void apply(Value& root, Override over) {
    Value* at = &root;
    std::string path;
    for (const std::string& key : over.keys) {
        if (at->kind == Value::Kind::list) {
            at = &item(*at, key, over.place);
        } else {
            if (at->kind == Value::Kind::null) {
                at->kind = Value::Kind::map;
                at->place = over.place;
            }
            if (at->kind != Value::Kind::map) {
                throw Error(
                    over.place,
                    fmt::format(
                        "cannot set '{}' inside {} = {}", shown(key), shown(path), at->what()));
            }
            if (at->find(key) == nullptr) {
                at->entries.push_back({key, over.place, {}});
                at->entries.back().value.place = over.place;
            }
            at = &at->find(key)->value;
        }
        path += (path.empty() ? "" : ".") + key;
    }
    *at = std::move(over.value);
}

}  // namespace

const Entry* Value::find(std::string_view key) const {
    for (const Entry& entry : entries) {
        if (entry.key == key) {
            return &entry;
        }
    }
    return nullptr;
}

Entry* Value::find(std::string_view key) {
    return const_cast<Entry*>(std::as_const(*this).find(key));
}

std::string Value::what() const {
    switch (kind) {
        case Kind::null:
            return "nothing";
        case Kind::scalar:
            return "'" + shown(text) + "'";
        case Kind::list:
            return "a list";
        case Kind::map:
            break;
    }
    return "a map";
}

fs::path folder_of(const Place& place) {
    return place.file == command_line ? fs::path() : fs::path(place.file).parent_path();
}

Document Document::load(const std::string& path, const LoadOptions& options) {
    return parse(read_file(path, Place{path}, ""), path, options);
}

Document Document::parse(std::string text, const std::string& name, const LoadOptions& options) {
    if (text.size() > max_bytes) {
        throw Error(Place{name}, "the text is longer than 16 MiB");
    }
    Document document;
    document.files_.push_back(name);
    Place first{name, 1, 1};
    first.source = std::make_shared<const std::string>(std::move(text));
    std::size_t values = 0;
    document.root_ = parse_yaml(*first.source, first, values);
    Value& root = document.root_;
    if (root.kind == Value::Kind::null) {
        root.kind = Value::Kind::map;
        root.place = first;
    }
    if (root.kind != Value::Kind::map) {
        throw Error(root.place, "a configuration is a map of keys, not " + root.what());
    }

    Place place{std::string(command_line), 0, 1};
    place.source = joined(options.overrides);
    std::vector<Override> later;
    for (const std::string& one : options.overrides) {
        ++place.line;
        Override over = parse_override(one, place, values);
        // Which file is included must be known first; all else lies over what it holds.
        if (over.keys.back() == "from") {
            apply(root, std::move(over));
        } else {
            later.push_back(std::move(over));
        }
    }
    const fs::path folder = fs::path(name).parent_path();
    const fs::path limit = options.root.empty() ? default_root(folder) : real(options.root);
    Includes includes(limit, options.anywhere, document.files_, values);
    includes.enter(name);
    includes.resolve(root);
    for (Override& over : later) {
        includes.resolve(over.value);
        apply(root, std::move(over));
    }
    return document;
}

Place Document::place(std::string_view key_path) const {
    const Value* at = &root_;
    while (!key_path.empty()) {
        const std::size_t dot = key_path.find('.');
        const Entry* entry = at->find(key_path.substr(0, dot));
        if (entry == nullptr) {
            break;
        }
        at = &entry->value;
        key_path = dot == std::string_view::npos ? "" : key_path.substr(dot + 1);
    }
    return at->place;
}

}  // namespace fusesim::config

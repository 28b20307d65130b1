#include "config/parse.h"

#include "config/document.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace fusesim::config {

namespace {

/// Builds the tree from the parser's events. YAML::Node would drop duplicate keys and share
/// anchored nodes, and would cost a second tree.
class Builder : public YAML::EventHandler {
  public:
    Builder(const std::string& text, const Place& first, std::size_t& values)
        : text_(text), first_(first), values_(values) {}

    Value take() { return std::move(root_); }

    Place place(const YAML::Mark& mark) const {
        Place place = first_;
        if (!mark.is_null()) {
            place.line = first_.line + mark.line;
            place.column = (mark.line == 0 ? first_.column : 1) + mark.column;
        }
        return place;
    }

    void OnDocumentStart(const YAML::Mark& mark) override { root_.place = place(mark); }

    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        // The parser does not tell the word null from nothing at all, but a table may know it.
        const auto at = static_cast<std::size_t>(mark.pos);
        const bool word = at < text_.size() && text_.compare(at, 4, "null") == 0;
        add(scalar(mark, Value::Kind::null, word ? "null" : ""), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchored_.find(anchor);
        if (found == anchored_.end()) {
            throw Error(place(mark), "alias of a value that contains it");
        }
        count(found->second.size, mark);
        if (depth() + found->second.depth > Document::max_depth) {
            too_deep(mark);
        }
        add(Value(found->second.value), 0);
    }

    void OnScalar(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  const std::string& text) override {
        check_tag(mark, tag);
        add(scalar(mark, Value::Kind::scalar, text), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark,
                         const std::string& tag,
                         YAML::anchor_t anchor,
                         YAML::EmitterStyle::value /*style*/) override {
        open(mark, tag, anchor, Value::Kind::list);
    }

    void OnSequenceEnd() override { close(); }

    void OnMapStart(const YAML::Mark& mark,
                    const std::string& tag,
                    YAML::anchor_t anchor,
                    YAML::EmitterStyle::value /*style*/) override {
        open(mark, tag, anchor, Value::Kind::map);
    }

    void OnMapEnd() override { close(); }

  private:
    /// A list or map whose end has not come yet.
    struct Open {
        Value value;
        YAML::anchor_t anchor = 0;
        std::size_t values_before = 0;
        std::size_t deepest = 0;
        std::optional<std::pair<std::string, Place>> key = std::nullopt;
        std::unordered_set<std::string> keys = {};
    };

    struct Anchored {
        Value value;
        std::size_t size = 1;
        std::size_t depth = 0;
    };

    std::size_t depth() const { return open_.size(); }

    Value scalar(const YAML::Mark& mark, Value::Kind kind, const std::string& text) {
        count(1, mark);
        Value value;
        value.kind = kind;
        value.place = place(mark);
        value.text = text;
        return value;
    }

    void check_tag(const YAML::Mark& mark, const std::string& tag) const {
        if (!tag.empty() && tag != "?" && tag != "!") {
            throw Error(place(mark), "tags have no meaning here", "remove " + shown(tag));
        }
    }

    [[noreturn]] static void odd_key(const Place& place) {
        // An open bracket at the end of the text looks like a key to the parser.
        throw Error(place, "a key must be a word", "close the bracket if it was to be a value");
    }

    [[noreturn]] void too_deep(const YAML::Mark& mark) const {
        throw Error(
            place(mark),
            fmt::format("more than {} maps and lists inside each other", Document::max_depth));
    }

    void count(std::size_t values, const YAML::Mark& mark) {
        values_ += values;
        if (values_ > Document::max_values) {
            throw Error(place(mark),
                        fmt::format("more than {} values, aliases counted", Document::max_values));
        }
    }

    void open(const YAML::Mark& mark,
              const std::string& tag,
              YAML::anchor_t anchor,
              Value::Kind kind) {
        check_tag(mark, tag);
        if (depth() >= Document::max_depth) {
            too_deep(mark);
        }
        if (!open_.empty() && expects_key()) {
            odd_key(place(mark));
        }
        const std::size_t before = values_;
        Value value = scalar(mark, kind, "");
        open_.push_back({std::move(value), anchor, before, depth()});
    }

    void close() {
        Open done = std::move(open_.back());
        open_.pop_back();
        if (!open_.empty()) {
            open_.back().deepest = std::max(open_.back().deepest, done.deepest);
        }
        const std::size_t size = values_ - done.values_before;
        if (done.anchor != 0) {
            anchored_[done.anchor] = {done.value, size, done.deepest - depth() + 1};
        }
        place_value(std::move(done.value));
    }

    void add(Value value, YAML::anchor_t anchor) {
        if (anchor != 0) {
            anchored_[anchor] = {value};
        }
        place_value(std::move(value));
    }

    bool expects_key() const {
        return open_.back().value.kind == Value::Kind::map && !open_.back().key;
    }

    void place_value(Value value) {
        if (open_.empty()) {
            root_ = std::move(value);
        } else if (open_.back().value.kind == Value::Kind::list) {
            open_.back().value.items.push_back(std::move(value));
        } else if (expects_key()) {
            take_key(value);
        } else {
            Open& map = open_.back();
            map.value.entries.push_back(
                {std::move(map.key->first), std::move(map.key->second), std::move(value)});
            map.key.reset();
        }
    }

    void take_key(const Value& value) {
        if (value.kind != Value::Kind::scalar || value.text.empty()) {
            odd_key(value.place);
        }
        Open& map = open_.back();
        if (value.text == "<<") {
            throw Error(value.place, "merge keys are not supported", "include a file with from:");
        }
        if (!map.keys.insert(value.text).second) {
            throw Error(value.place,
                        fmt::format("duplicate key '{}'; first in line {}",
                                    shown(value.text),
                                    map.value.find(value.text)->place.line),
                        "remove one of the two");
        }
        map.key.emplace(value.text, value.place);
    }

    const std::string& text_;
    Place first_;
    Value root_;
    std::vector<Open> open_;
    std::unordered_map<YAML::anchor_t, Anchored> anchored_;
    std::size_t& values_;
};

/// Offset of the first byte that is not UTF-8 text, or npos.
std::size_t first_non_text(const std::string& text) {
    std::size_t i = 0;
    while (i < text.size()) {
        const auto byte = static_cast<unsigned char>(text[i]);
        std::size_t length = 1;
        if (byte >= 0xf0 && byte < 0xf5) {
            length = 4;
        } else if (byte >= 0xe0 && byte < 0xf0) {
            length = 3;
        } else if (byte >= 0xc2 && byte < 0xe0) {
            length = 2;
        } else if (byte >= 0x80 || (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r')) {
            return i;
        }
        if (length > 2 && i + 1 < text.size()) {
            // Second bytes of overlong forms, surrogates and what lies beyond Unicode.
            const auto second = static_cast<unsigned char>(text[i + 1]);
            if ((byte == 0xe0 && second < 0xa0) || (byte == 0xed && second > 0x9f) ||
                (byte == 0xf0 && second < 0x90) || (byte == 0xf4 && second > 0x8f)) {
                return i;
            }
        }
        for (std::size_t k = 1; k < length; ++k) {
            if (i + k >= text.size() || (static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) {
                return i;
            }
        }
        i += length;
    }
    return std::string::npos;
}

}  // namespace

void check_text(const std::string& text, const std::string& file) {
    if (const std::size_t bad = first_non_text(text); bad != std::string::npos) {
        Place place{file};
        place.offset = static_cast<std::int64_t>(bad);
        throw Error(place, "this is not UTF-8 text", "configurations are YAML files");
    }
}

Value parse_yaml(const std::string& text, const Place& first, std::size_t& values) {
    check_text(text, first.file);
    Builder builder(text, first, values);
    try {
        std::istringstream stream(text);
        YAML::Parser parser(stream);
        parser.HandleNextDocument(builder);
        Value root = builder.take();
        Builder second(text, first, values);
        if (parser.HandleNextDocument(second)) {
            throw Error(second.take().place, "a second document", "write one document a file");
        }
        return root;
    } catch (const YAML::Exception& error) {
        throw Error(builder.place(error.mark), "not YAML: " + error.msg);
    }
}

}  // namespace fusesim::config

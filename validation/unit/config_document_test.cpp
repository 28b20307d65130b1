#include "config/document.h"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

using namespace fusesim::config;

namespace fs = std::filesystem;

namespace {

/// A folder of one test, removed with everything in it.
class Folder {
  public:
    Folder() {
        std::string name = (fs::temp_directory_path() / "fusesim-config-XXXXXX").string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = fs::canonical(name);
    }

    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }

    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string write(const std::string& name, const std::string& text) const {
        const fs::path file = path_ / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << text;
        return file.string();
    }

    std::string name(const std::string& file) const { return (path_ / file).string(); }

  private:
    fs::path path_;
};

/// A tree in one line: {a: 1, b: [x, nothing]}.
std::string flow(const Value& value) {
    std::string text;
    switch (value.kind) {
        case Value::Kind::null:
            return "nothing";
        case Value::Kind::scalar:
            return value.text;
        case Value::Kind::list:
            for (const Value& item : value.items) {
                text += (text.empty() ? "" : ", ") + flow(item);
            }
            return "[" + text + "]";
        case Value::Kind::map:
            for (const Entry& entry : value.entries) {
                text += (text.empty() ? "" : ", ") + entry.key + ": " + flow(entry.value);
            }
    }
    return "{" + text + "}";
}

std::string tree(const std::string& text, std::vector<std::string> overrides = {}) {
    LoadOptions options;
    options.overrides = std::move(overrides);
    return flow(Document::parse(text, "s.yaml", options).root());
}

template <class Action>
std::string error_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

std::string document_complaint(const std::string& text, std::vector<std::string> overrides = {}) {
    return error_of([&] { tree(text, std::move(overrides)); });
}

}  // namespace

TEST_CASE("a document keeps order, kinds and places of what is written", "[config]") {
    const std::string text = "a: 1\nb:\n  - x\n  - {c: \"2\", d: }\ne: null\n";
    CHECK(tree(text) == "{a: 1, b: [x, {c: 2, d: nothing}], e: nothing}");
    const Document document = Document::parse(text, "s.yaml");
    CHECK(document.place("a").text() == "s.yaml:1:4");
    CHECK(document.place("b").text() == "s.yaml:3:3");
    CHECK(document.root().find("b")->place.text() == "s.yaml:2:1");
    CHECK(document.root().find("b")->value.items[1].find("c")->value.place.text() == "s.yaml:4:9");
    // What was not written has the place of the map around it.
    CHECK(document.place("b.missing").text() == "s.yaml:3:3");
    CHECK(document.place("missing").text() == "s.yaml:1:1");
}

TEST_CASE("an empty document is an empty map", "[config]") {
    CHECK(tree("") == "{}");
    CHECK(tree("# only a comment\n") == "{}");
    CHECK(tree("---\n") == "{}");
}

TEST_CASE("a duplicate key is an error that names both places", "[config]") {
    CHECK(document_complaint("a: 1\nb: 2\na: 3\n") ==
          "s.yaml:3:1: error: duplicate key 'a'; first in line 1\n"
          "  3 | a: 3\n"
          "    | ^\n"
          "  hint: remove one of the two");
    CHECK_THAT(document_complaint("m: {x: 1, y: {z: 1, z: 1}}"),
               Catch::StartsWith("s.yaml:1:21: error: duplicate key 'z'"));
}

TEST_CASE("text that is no YAML is an error with its place", "[config]") {
    CHECK_THAT(document_complaint("a: [1, 2\nb: 3\n"),
               Catch::StartsWith("s.yaml:2:2: error: not YAML: "));
    CHECK_THAT(document_complaint("a: 1\n b: 2\n"),
               Catch::StartsWith("s.yaml:2:3: error: not YAML: "));
    CHECK_THAT(document_complaint("a: \"x"), Catch::StartsWith("s.yaml:1:"));
    CHECK_THAT(document_complaint("a: b: c"), Catch::StartsWith("s.yaml:1:"));
    CHECK_THAT(document_complaint("a: *x"), Catch::StartsWith("s.yaml:1:4: error: not YAML: "));
    CHECK(document_complaint(std::string("a: \0b", 5)) ==
          "s.yaml:byte 3: error: this is not UTF-8 text\n"
          "  hint: configurations are YAML files");
    CHECK_THAT(document_complaint("a: \xff"), Catch::StartsWith("s.yaml:byte 3: error"));
    CHECK_THAT(document_complaint("a: \xc3"), Catch::StartsWith("s.yaml:byte 3: error"));
    CHECK_THAT(document_complaint("a: \xed\xa0\x80"), Catch::StartsWith("s.yaml:byte 3: error"));
    CHECK_THAT(document_complaint("a: \xe0\x80\x80"), Catch::StartsWith("s.yaml:byte 3: error"));
}

TEST_CASE("tags, merge keys, odd keys and second documents are errors", "[config]") {
    CHECK_THAT(document_complaint("a: !!int 3"), Catch::Contains("tags have no meaning here"));
    CHECK_THAT(document_complaint("a: !x [3]"), Catch::Contains("hint: remove !x"));
    CHECK_THAT(document_complaint("b: &b {}\na:\n  <<: *b\n"),
               Catch::StartsWith("s.yaml:3:3: error: merge keys are not supported"));
    CHECK_THAT(document_complaint("[a]: 1"),
               Catch::StartsWith("s.yaml:1:1: error: a key must be a word"));
    CHECK_THAT(document_complaint("{a: 1}: 1"), Catch::Contains("a key must be a word"));
    CHECK_THAT(document_complaint("? \n: 1"), Catch::Contains("a key must be a word"));
    CHECK_THAT(document_complaint("a: 1\n---\nb: 2\n"),
               Catch::StartsWith("s.yaml:3:1: error: a second document"));
}

TEST_CASE("aliases are copies", "[config]") {
    CHECK(tree("a: &x {k: 1}\nb: *x\nc: [*x, *x]\n") ==
          "{a: {k: 1}, b: {k: 1}, c: [{k: 1}, {k: 1}]}");
    CHECK_THAT(document_complaint("a: &x [*x]"),
               Catch::StartsWith("s.yaml:1:8: error: alias of a value that contains it"));
}

TEST_CASE("aliases that would fill the memory are an error", "[config]") {
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string last = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
        for (int k = 0; k < 9; ++k) {
            bomb += ", " + last;
        }
        bomb += "]\n";
    }
    CHECK_THAT(document_complaint(bomb),
               Catch::Contains("more than 200000 values, aliases counted"));
}

TEST_CASE("deep nesting is an error, also by aliases", "[config]") {
    CHECK_THAT(document_complaint("a: " + std::string(1000, '[') + std::string(1000, ']')),
               Catch::Contains("more than 40 maps and lists inside each other"));
    CHECK_THAT(document_complaint("a: " + std::string(100'000, '[')),
               Catch::StartsWith("s.yaml:1:"));
    std::string dashes;
    for (int i = 0; i < 10'000; ++i) {
        dashes += "- ";
    }
    CHECK_THAT(document_complaint(dashes + "x"), Catch::Contains("more than 40 maps and lists"));
    std::string chain = "a0: &a0 [x]\n";
    for (int i = 1; i < 60; ++i) {
        const std::string n = std::to_string(i);
        chain += "a" + n + ": &a" + n + " [*a" + std::to_string(i - 1) + "]\n";
    }
    CHECK_THAT(document_complaint(chain), Catch::Contains("more than 40 maps and lists"));
}

TEST_CASE("long lines and giant scalars are shown in part", "[config]") {
    const std::string all =
        document_complaint("ok: 1\n? [" + std::string(100'000, 'x') + "]\n: 1\n");
    CHECK(all.size() < 300);
    const std::string far = document_complaint("{" + std::string(500, ' ') +
                                               "a: 1, a: " + std::string(5000, 'y') + "}");
    CHECK(far.size() < 400);
    CHECK_THAT(far, Catch::Contains("a: 1, a: yyy"));
}

TEST_CASE("the caret stands below the column, also after tabs and other letters", "[config]") {
    CHECK(document_complaint("{\t\"\u00e4\": 1,\ta: 1, a: 2}") ==
          "s.yaml:1:18: error: duplicate key 'a'; first in line 1\n"
          "  1 | {\t\"\u00e4\": 1,\ta: 1, a: 2}\n"
          "    |  \t       \t      ^\n"
          "  hint: remove one of the two");
}

TEST_CASE("overrides replace and add, in their order", "[config]") {
    CHECK(tree("a: 1\nb: {c: 2, d: 3}\n", {"a=5", "b.c=6", "b.e.f=7", "g=[1, 2]", "h={i: j}"}) ==
          "{a: 5, b: {c: 6, d: 3, e: {f: 7}}, g: [1, 2], h: {i: j}}");
    CHECK(tree("a: [{b: 1}, 2]", {"a.0.b=3", "a.1=4", "a.1=5"}) == "{a: [{b: 3}, 5]}");
    CHECK(tree("", {"a.b=x=y"}) == "{a: {b: x=y}}");
    CHECK(tree("a:", {"a.b=1"}) == "{a: {b: 1}}");
    CHECK(tree("a: 1", {"a="}) == "{a: nothing}");
}

TEST_CASE("an override that cannot be is an error with its number", "[config]") {
    CHECK(document_complaint("", {"a=1", "b"}) ==
          "command line:2:1: error: override 'b' has no '='\n"
          "  2 | b\n"
          "    | ^\n"
          "  hint: write key.path=value");
    CHECK_THAT(document_complaint("", {"=1"}), Catch::Contains("has no proper key"));
    CHECK_THAT(document_complaint("", {"a..b=1"}), Catch::Contains("has no proper key"));
    CHECK_THAT(document_complaint("", {"a b=1"}), Catch::Contains("has no proper key"));
    CHECK_THAT(document_complaint("", {"a=1\n2"}), Catch::Contains("an override is one line"));
    CHECK_THAT(
        document_complaint("", {"a=[1"}),
        Catch::StartsWith("command line:1:3: error: ") && Catch::Contains("close the bracket"));
    CHECK_THAT(document_complaint("", {"a={b: 1, b: 2}"}),
               Catch::StartsWith("command line:1:10: error: duplicate key 'b'"));
    CHECK_THAT(document_complaint("a: 1", {"a.b=2"}),
               Catch::StartsWith("command line:1:1: error: cannot set 'b' inside a = '1'"));
    CHECK_THAT(document_complaint("a: [1]", {"a.1=2"}), Catch::Contains("hint: items are 0 to 0"));
    CHECK_THAT(document_complaint("a: []", {"a.x=2"}), Catch::Contains("hint: the list is empty"));
}

TEST_CASE("an included file lies below the keys beside from:", "[config]") {
    const Folder folder;
    folder.write("devices/x.yaml", "kind: ssd\nchannels: 8\ntimes: {read: 80 us, write: 20 us}\n");
    folder.write("hosts/h.yaml", "cores: 4\ndisk: {from: ../devices/x.yaml}\n");
    const std::string top =
        folder.write("s.yaml",
                     "device: {from: devices/x.yaml, channels: 4, times: {read: "
                     "1 us}}\nhost:\n  from: hosts/h.yaml\n  disk: {channels: 2}\n");
    const Document document = Document::load(top);
    CHECK(flow(document.root()) ==
          "{device: {kind: ssd, channels: 4, times: {read: 1 us, write: 20 us}}, "
          "host: {cores: 4, disk: {kind: ssd, channels: 2, times: {read: 80 us, write: 20 us}}}}");
    CHECK(document.files().size() == 4);
    CHECK(document.files()[0] == top);
    // Each value keeps the file it came from.
    CHECK(document.place("device.channels").text() == top + ":1:42");
    CHECK(document.place("device.kind").text() == folder.name("devices/x.yaml") + ":1:7");
    CHECK(document.place("host.cores").text() == folder.name("hosts/h.yaml") + ":1:8");
}

TEST_CASE("a whole scenario may be a variation of another", "[config]") {
    const Folder folder;
    folder.write("base.yaml", "a: 1\nb: {c: 2}\n");
    const std::string top = folder.write("s.yaml", "from: base.yaml\nb: {d: 3}\n");
    CHECK(flow(Document::load(top).root()) == "{a: 1, b: {c: 2, d: 3}}");
}

TEST_CASE("overrides lie over includes, and may pick another file", "[config]") {
    const Folder folder;
    folder.write("x.yaml", "kind: ssd\nlist: [1, 2]\n");
    const std::string other = folder.write("y.yaml", "kind: hdd\n");
    const std::string top = folder.write("s.yaml", "device: {from: x.yaml}\n");
    LoadOptions options;
    options.overrides = {"device.list.1=3"};
    CHECK(flow(Document::load(top, options).root()) == "{device: {kind: ssd, list: [1, 3]}}");
    options.overrides = {"device.kind=tape", "device.from=" + other, "z={from: " + other + "}"};
    CHECK(flow(Document::load(top, options).root()) == "{device: {kind: tape}, z: {kind: hdd}}");
    options.overrides = {"device.from=" + folder.name("none.yaml")};
    CHECK_THAT(error_of([&] { Document::load(top, options); }),
               Catch::StartsWith("command line:1:1: error: cannot read"));
}

TEST_CASE("a missing file is an error", "[config]") {
    const Folder folder;
    CHECK(error_of([&] { Document::load("no/such.yaml"); }) ==
          "no/such.yaml: error: cannot read 'no/such.yaml': No such file or directory");
    CHECK_THAT(error_of([&] { Document::load(folder.name("")); }),
               Catch::Contains("it is a folder"));
    const std::string top = folder.write("s.yaml", "device:\n  from: nil.yaml\n");
    CHECK_THAT(error_of([&] { Document::load(top); }),
               Catch::StartsWith(top + ":2:9: error: cannot read '") &&
                   Catch::Contains("No such file or directory") &&
                   Catch::Contains("  2 |   from: nil.yaml\n    |         ^\n") &&
                   Catch::EndsWith("hint: from: is relative to the file it stands in"));
}

TEST_CASE("files that include each other are an error at the from: that closes the ring",
          "[config]") {
    const Folder folder;
    const std::string a = folder.write("a.yaml", "x:\n  from: b.yaml\n");
    const std::string b = folder.write("b.yaml", "y: {from: ./a.yaml}\n");
    CHECK_THAT(error_of([&] { Document::load(a); }),
               Catch::StartsWith(b + ":1:11: error: './a.yaml' includes itself"));
    const std::string self = folder.write("self.yaml", "from: self.yaml\n");
    CHECK_THAT(error_of([&] { Document::load(self); }),
               Catch::StartsWith(self + ":1:7: error: 'self.yaml' includes itself"));
}

TEST_CASE("from: must name a file that holds a map", "[config]") {
    const Folder folder;
    folder.write("list.yaml", "[1]\n");
    folder.write("empty.yaml", "");
    const auto load = [&](const std::string& text) {
        const std::string top = folder.write("s.yaml", text);
        return error_of([&] { Document::load(top); });
    };
    CHECK_THAT(load("from: [a]"), Catch::Contains("from: needs the name of a file, not a list"));
    CHECK_THAT(load("from:"), Catch::Contains("from: needs the name of a file, not nothing"));
    CHECK_THAT(load("from: list.yaml"),
               Catch::Contains("an included file must hold a map, not a list"));
    CHECK(load("from: empty.yaml").empty());
}

TEST_CASE("from: stays below the configs folder unless it may leave", "[config]") {
    const Folder folder;
    folder.write("secret.yaml", "k: 1\n");
    folder.write("configs/hosts/h.yaml", "k: 2\n");
    const std::string inside =
        folder.write("configs/deep/s.yaml", "host: {from: ../hosts/h.yaml}\n");
    CHECK(flow(Document::load(inside).root()) == "{host: {k: 2}}");
    const std::string outside =
        folder.write("configs/deep/t.yaml", "host: {from: ../../secret.yaml}\n");
    CHECK_THAT(error_of([&] { Document::load(outside); }),
               Catch::StartsWith(outside + ":1:14: error: '../../secret.yaml' is outside"));
    LoadOptions anywhere;
    anywhere.anywhere = true;
    CHECK(flow(Document::load(outside, anywhere).root()) == "{host: {k: 1}}");
    // Without a folder of that name, the limit is the scenario's own folder.
    const std::string alone = folder.write("mine/s.yaml", "host: {from: ../secret.yaml}\n");
    CHECK_THAT(error_of([&] { Document::load(alone); }), Catch::Contains("is outside"));
    LoadOptions wider;
    wider.root = folder.name("");
    CHECK(flow(Document::load(alone, wider).root()) == "{host: {k: 1}}");
    fs::create_symlink(folder.name("secret.yaml"), folder.name("configs/link.yaml"));
    const std::string link = folder.write("configs/l.yaml", "from: link.yaml\n");
    CHECK_THAT(error_of([&] { Document::load(link); }), Catch::Contains("is outside"));
}

TEST_CASE("a file that is included again and again is an error", "[config]") {
    const Folder folder;
    for (int i = 0; i < 12; ++i) {
        const std::string next = std::to_string(i + 1) + ".yaml";
        folder.write(std::to_string(i) + ".yaml",
                     "a: {from: " + next + "}\nb: {from: " + next + "}\n");
    }
    folder.write("12.yaml", "x: 1\n");
    CHECK_THAT(error_of([&] { Document::load(folder.name("0.yaml")); }),
               Catch::Contains("more than 100 files in one configuration"));
}

TEST_CASE("random bytes and damaged documents end in a tree or an Error", "[config]") {
    // A small generator of our own, so that a failure comes back.
    std::uint64_t state = 88172645463325252u;
    const auto random = [&state] {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
    };
    const std::string good =
        "a: &x {k: [1, 'two', \"three\\n\"]}\nb: *x\n# note\nc:\n  - d: |\n      text\n  - >-\n"
        "    folded\n? e\n: {f: ~, g: }\nlong: plain words\n";
    const std::string signs = "{}[],:&*!|>'\"%@`#-? \n\t\\abc0~<\r";
    int trees = 0;
    int errors = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string text;
        if (i % 2 == 0) {
            text = good;
            for (std::uint64_t n = random() % 4 + 1; n > 0; --n) {
                text[random() % text.size()] = signs[random() % signs.size()];
            }
            text.resize(random() % text.size() + 1);
        } else {
            for (std::uint64_t n = random() % 60; n > 0; --n) {
                text += i % 10 == 1 ? static_cast<char>(random()) : signs[random() % signs.size()];
            }
        }
        try {
            Document::parse(text, "s.yaml");
            ++trees;
        } catch (const Error& error) {
            ++errors;
            CHECK_THAT(error.what(), Catch::StartsWith("s.yaml:"));
        }
    }
    CHECK(trees > 1000);
    CHECK(errors > 1000);
}

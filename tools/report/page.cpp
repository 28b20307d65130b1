#include "page.h"

#include "config/error.h"
#include "report/report.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

namespace fusesim::page {

using config::Json;

namespace {

#include "parts.inc"

std::string content_of(const std::string& path) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    std::ostringstream content;
    if (!file || !(content << file.rdbuf())) {
        throw config::Error({path}, std::string("cannot be read: ") + std::strerror(errno));
    }
    return content.str();
}

/// By what only this command's JSON has; "" for what is none of them.
std::string kind_of(const Json& json) {
    if (!json.is_object()) {
        return "";
    }
    const bool points =
        json.contains("points") && json["points"].is_array() && !json["points"].empty();
    return json.contains("suites")           ? "validate"
           : json.contains("changes")        ? "advise"
           : points && json.contains("vary") ? "capacity"
           : points                          ? "sweep"
           : json.contains("operations")     ? "run"
                                             : "";
}

/// Inside of <script> nothing may look like a tag; in JSON every character may be escaped.
std::string for_script(const Json& json) {
    const std::string text = json.dump();
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (c == '<') {
            out += "\\u003c";
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace

Document load(const std::string& path) {
    const Json json = Json::parse(content_of(path), nullptr, false);
    const std::string kind = kind_of(json);
    if (kind.empty()) {
        throw config::Error({path},
                            "is no result of run, measure, replay, sweep, capacity, advise or "
                            "validate",
                            "they write one with --json FILE");
    }
    if (kind == "run") {
        report::from_json(json, path);  // says what is wrong with it
    }
    return {kind, path.substr(path.rfind('/') + 1), json};
}

std::string html(const std::vector<Document>& documents) {
    Json all = Json::array();
    for (const Document& one : documents) {
        all.push_back({{"kind", one.kind}, {"name", one.name}, {"data", one.data}});
    }
    const std::string data = for_script(all);
    const std::pair<std::string_view, std::string_view> places[] = {
        {"@PAGE_CSS@", page_css},
        {"@DOCUMENTS@", data},
        {"@CHART_JS@", chart_min_js},
        {"@PAGE_JS@", page_js},
    };
    std::string out;
    std::string_view rest = page_html;
    for (const auto& [place, content] : places) {  // in the order of the page
        const std::size_t at = rest.find(place);
        out += rest.substr(0, at);
        out += content;
        rest.remove_prefix(at + place.size());
    }
    return out += rest;
}

}  // namespace fusesim::page

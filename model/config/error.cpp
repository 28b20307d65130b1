#include "config/error.h"

namespace fusesim::config {

namespace {

std::string compose(const Place& place, const std::string& message, const std::string& hint) {
    std::string text = place.text() + ": error: " + message;
    if (!hint.empty()) {
        text += "\n  hint: " + hint;
    }
    return text;
}

}  // namespace

std::string Place::text() const {
    if (line > 0) {
        return file + ":" + std::to_string(line) + ":" + std::to_string(column);
    }
    if (offset >= 0) {
        return file + ":byte " + std::to_string(offset);
    }
    return file;
}

Error::Error(const Place& place, const std::string& message, const std::string& hint)
    : std::runtime_error(compose(place, message, hint)) {}

}  // namespace fusesim::config

#pragma once

#include "config/units.h"

#include <string>
#include <vector>

namespace fusesim::page {

/// What a command wrote as JSON.
struct Document {
    std::string kind;  ///< run, sweep, capacity, advise or validate
    std::string name;  ///< its file
    config::Json data;
};

/// Reads a file and finds out what wrote it. Throws config::Error.
Document load(const std::string& path);

/// One HTML file with everything in it: opens without a network. At least one document.
std::string html(const std::vector<Document>& documents);

}  // namespace fusesim::page

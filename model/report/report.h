#pragma once

#include "config/error.h"
#include "report/result.h"

#include <string>

namespace fusesim::report {

/// The result file: fixed keys, SI units, the same bytes for the same result.
Json to_json(const Result& result);

/// to_json() as text, indented, with a newline at its end.
std::string json_text(const Result& result);

/// The other way, for commands that read result files. `name` is the file's, for errors; keys that
/// are missing, of the wrong type or of another schema version are config::Errors.
Result from_json(const Json& json, const std::string& name);

/// Reads a result file. What is no JSON is an Error with its byte.
Result load(const std::string& path);

/// What a person wants to see, at most 80 columns wide.
std::string text(const Result& result);

}  // namespace fusesim::report

#pragma once

#include "accuracy.h"
#include "config/units.h"

#include <string>

namespace fusesim::validate {

/// What was measured of all cells on `kernel`, so that it can be compared elsewhere or again.
config::Json to_json(const std::vector<CellResult>& results, const std::string& kernel);

/// Takes over what was measured of the cell; false if there is nothing of it. Throws
/// std::runtime_error if that is no such JSON.
bool take_measured(const config::Json& stored, CellResult& result);

}  // namespace fusesim::validate

#pragma once

#include "config/document.h"
#include "system/scenario.h"
#include "trace/reader.h"

#include <memory>

namespace fusesim::system {

/// A scenario as it is simulated: every setting has its value.
struct Prepared {
    std::unique_ptr<trace::Reader> reader;  ///< null unless the workload is a recording
    Scenario scenario;
};

/// Takes over what a trace knows, fills in defaults, and refuses what cannot work. `document` is
/// where the scenario was read from. Throws config::Error.
Prepared prepare(const Scenario& given, const config::Document& document);

/// Its key in a host profile's costs.lower.
const char* lower_name(LowerConfig::Kind kind);

}  // namespace fusesim::system

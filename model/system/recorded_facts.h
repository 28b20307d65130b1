#pragma once

#include "config/document.h"
#include "system/scenario.h"
#include "trace/record.h"

#include <string>
#include <vector>

namespace fusesim::system {

/// Fills in what the scenario leaves open from what the recorder saw of the mount.
void take_over_facts(const trace::Header& header, Scenario& scenario);

/// Sentences about what the tracer's own way of looking did to the trace.
std::vector<std::string> warnings_of(const trace::Header& header);

/// A trace fixes everything above the border where it was taken. Throws config::Error naming every
/// setting of the scenario that lies above it: the trace cannot answer what it would change.
void refuse_above_layer(const trace::Header& header,
                        const Scenario& scenario,
                        const config::Document& document);

}  // namespace fusesim::system

#pragma once

#include "sim/engine.h"
#include "sim/fresh_context.h"

namespace fusesim::validation {

/// A simulation of its own for one test section. Components are declared after it; call
/// engine.kill_all() before they go if something may still wait in them.
struct Simulation {
    sim::FreshContext context;
    sim::Engine engine;
};

}  // namespace fusesim::validation

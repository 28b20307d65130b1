#include "sim/fresh_context.h"

namespace fusesim::sim {

FreshContext::FreshContext()
    : outer_(sc_core::sc_curr_simcontext), context_(std::make_unique<sc_core::sc_simcontext>()) {
    sc_core::sc_curr_simcontext = context_.get();
    sc_core::sc_default_global_context = context_.get();
}

FreshContext::~FreshContext() {
    sc_core::sc_curr_simcontext = outer_;
    sc_core::sc_default_global_context = outer_;
}

}  // namespace fusesim::sim

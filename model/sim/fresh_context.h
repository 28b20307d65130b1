#pragma once

#include <systemc>

#include <memory>

namespace fusesim::sim {

/// A SystemC simulation context of its own, current while it lives. SystemC allows one elaboration
/// and one run a context; with this one program may build and run many, one after another.
class FreshContext {
  public:
    FreshContext();
    ~FreshContext();
    FreshContext(const FreshContext&) = delete;
    FreshContext& operator=(const FreshContext&) = delete;

  private:
    sc_core::sc_simcontext* outer_;
    std::unique_ptr<sc_core::sc_simcontext> context_;
};

}  // namespace fusesim::sim

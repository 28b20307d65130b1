#pragma once

#define SC_INCLUDE_DYNAMIC_PROCESSES

#include "device/device.h"
#include "sim/engine.h"
#include "sim/wait_queue.h"

#include <systemc>
#include <tlm>
#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <boost/intrusive/list.hpp>

#include <vector>

namespace fusesim::device {

/// What a block request has beyond the generic payload. Command, address and length of the payload
/// are the request's kind, offset and size; flush and trim are TLM_IGNORE_COMMAND with this
/// extension. Data bytes do not matter: targets may read and write the buffer, nobody looks at it.
struct IoExtension : tlm::tlm_extension<IoExtension> {
    explicit IoExtension(const Io& request = {}) : io(request) {}

    tlm::tlm_extension_base* clone() const override { return new IoExtension(io); }

    void copy_from(const tlm::tlm_extension_base& other) override {
        io = static_cast<const IoExtension&>(other).io;
    }

    Io io;
};

/// Offers one of our devices to foreign SystemC models as a TLM-2.0 target.
class TlmTarget : public sc_core::sc_module {
  public:
    TlmTarget(const sc_core::sc_module_name& name, sim::Engine& engine, Device& device);

    tlm_utils::simple_target_socket<TlmTarget> socket;

  private:
    void b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
    sim::Task<> serve(Io io, sc_core::sc_event& done);

    sim::Engine& engine_;
    Device& device_;
};

/// Lets a foreign TLM-2.0 target be a device of ours. Up to `depth` requests are inside
/// b_transport() at once, each on a SystemC thread of its own; more wait in order of arrival.
class TlmDevice : public sc_core::sc_module, public Device {
  public:
    TlmDevice(const sc_core::sc_module_name& name, sim::Engine& engine, unsigned depth);

    tlm_utils::simple_initiator_socket<TlmDevice> socket;

    sim::Task<> serve(const Io& io) override;

    const sim::Station& station() const override { return station_; }

    void begin_window(sim::Time now) override { station_.begin_window(now); }

  private:
    struct Job : boost::intrusive::list_base_hook<> {
        Job(sim::Engine& engine, const Io& request) : io(request), done(engine, "a TLM target") {}

        Io io;
        sim::WaitQueue done;
        sim::Time arrived;
        sim::Time began;
        bool failed = false;
    };

    void transport_jobs();

    sim::Engine& engine_;
    sim::Station station_;
    boost::intrusive::list<Job> jobs_;
    sc_core::sc_event job_;
    std::vector<unsigned char> scratch_;
};

}  // namespace fusesim::device

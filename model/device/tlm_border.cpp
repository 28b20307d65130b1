#include "device/tlm_border.h"

#include <algorithm>
#include <stdexcept>

namespace fusesim::device {

namespace {

Io io_of(const tlm::tlm_generic_payload& payload) {
    Io io;
    if (const auto* extension = payload.get_extension<IoExtension>()) {
        io = extension->io;
    }
    if (payload.is_read()) {
        io.kind = Io::Kind::read;
    } else if (payload.is_write()) {
        io.kind = Io::Kind::write;
    }
    io.offset = payload.get_address();
    io.bytes = payload.get_data_length();
    return io;
}

tlm::tlm_command command_of(Io::Kind kind) {
    switch (kind) {
        case Io::Kind::read:
            return tlm::TLM_READ_COMMAND;
        case Io::Kind::write:
            return tlm::TLM_WRITE_COMMAND;
        case Io::Kind::flush:
        case Io::Kind::trim:
            break;
    }
    return tlm::TLM_IGNORE_COMMAND;
}

}  // namespace

TlmTarget::TlmTarget(const sc_core::sc_module_name& name, sim::Engine& engine, Device& device)
    : sc_module(name), socket("socket"), engine_(engine), device_(device) {
    socket.register_b_transport(this, &TlmTarget::b_transport);
}

sim::Task<> TlmTarget::serve(Io io, sc_core::sc_event& done) {
    co_await device_.serve(io);
    engine_.notify(done);
}

void TlmTarget::b_transport(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    wait(delay);
    delay = sc_core::SC_ZERO_TIME;
    sc_core::sc_event done;
    engine_.enter_from_systemc();
    engine_.spawn(std::string(name()) + " request", serve(io_of(payload), done));
    wait(done);
    payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

TlmDevice::TlmDevice(const sc_core::sc_module_name& name, sim::Engine& engine, unsigned depth)
    : sc_module(name), socket("socket"), engine_(engine), station_(basename(), depth) {
    for (unsigned i = 0; i < depth; ++i) {
        sc_core::sc_spawn([this] { transport_jobs(); }, sc_core::sc_gen_unique_name("transport"));
    }
}

sim::Task<> TlmDevice::serve(const Io& io) {
    Job job(engine_, io);
    job.arrived = engine_.now();
    station_.arrive(job.arrived);
    jobs_.push_back(job);
    engine_.notify(job_);
    co_await job.done.sleep();
    if (job.failed) {
        throw std::runtime_error(std::string(name()) + ": the TLM target refused a request");
    }
}

void TlmDevice::transport_jobs() {
    for (;;) {
        while (jobs_.empty()) {
            wait(job_);
        }
        Job& job = jobs_.front();
        jobs_.pop_front();
        engine_.enter_from_systemc();
        job.began = engine_.now();
        station_.begin_service(job.began, job.arrived);
        scratch_.resize(std::max<std::size_t>(scratch_.size(), job.io.bytes));

        IoExtension extension(job.io);
        tlm::tlm_generic_payload payload;
        payload.set_command(command_of(job.io.kind));
        payload.set_address(job.io.offset);
        payload.set_data_ptr(scratch_.data());
        payload.set_data_length(job.io.bytes);
        payload.set_streaming_width(job.io.bytes);
        payload.set_extension(&extension);
        sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
        socket->b_transport(payload, delay);
        wait(delay);
        payload.clear_extension(&extension);

        engine_.enter_from_systemc();
        station_.depart(engine_.now(), job.arrived, job.began);
        job.failed = payload.is_response_error();
        job.done.wake_one();
    }
}

}  // namespace fusesim::device

#include "daemon/file_system.h"

namespace fusesim::daemon {

using sim::Time;

sim::Task<> NullFs::handle(host::Thread&, transport::Call&) {
    co_return;
}

sim::Task<> ServiceTimeFs::handle(host::Thread& worker, transport::Call& call) {
    transport::Demand demand = call.demand;
    if (!demand.known || !follow_recording_) {
        const auto found = times_.by_opcode.find(call.opcode);
        const ServiceTime& time = found != times_.by_opcode.end() ? found->second : times_.other;
        demand.cpu = time.cpu.draw(random_);
        demand.blocked = time.blocked.draw(random_);
    }
    worker.charge(demand.cpu, host::Work::user);
    if (demand.blocked > Time()) {
        co_await worker.sleep_for(demand.blocked);
    }
}

}  // namespace fusesim::daemon

#include "transport/message.h"

#include "transport/request_statistics.h"

namespace fusesim::transport {

void Call::request_ended(fuse::Request&) {
    ended = done_.engine().now().ps();
    if (has(fuse::Flag::background) && count_in != nullptr) {
        count_in->finished(*this);
    }
    done_.wake_one();
    if (on_end != nullptr) {
        on_end(*this, on_end_context);
    }
}

}  // namespace fusesim::transport

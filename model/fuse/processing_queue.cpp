#include "fuse/processing_queue.h"

namespace fusesim::fuse {

Request* ProcessingQueue::pop_processing() {
    if (processing_ == 0) {
        return nullptr;
    }
    for (List& list : lists_) {
        if (!list.empty()) {
            Request& request = list.front();
            list.pop_front();
            --processing_;
            request.station = Station::none;
            return &request;
        }
    }
    return nullptr;
}

}  // namespace fusesim::fuse

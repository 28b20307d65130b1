#pragma once

#include "null_tree.h"

#include <linux/fuse.h>

#include <cstddef>

namespace fusesim::daemons {

/// The null file system as a function from request to reply, for transports that libfuse does not
/// know. Thread-safe.
class NullServer {
  public:
    /// One request and the room for its reply, which share the payload.
    struct Exchange {
        fuse_in_header header;
        const void* operation;  ///< the request's first structure
        char* payload;          ///< names and data of the request, then the reply
        std::size_t size;       ///< of the payload, then of the reply
        std::size_t room;
        std::size_t not_zero;  ///< bytes at the start of the payload that may not be zero
    };

    explicit NullServer(const Options& options) : tree_(options) {}

    /// Serves one request. Returns the negative error number of its reply, or 0.
    int answer(Exchange& exchange);

    void forget(std::uint64_t nodeid, std::uint64_t lookups) { tree_.forget(nodeid, lookups); }

  private:
    int lookup(Exchange& exchange);
    int setattr(Exchange& exchange);
    int make(Exchange& exchange, mode_t mode, const char* name);
    int create(Exchange& exchange);
    int open(Exchange& exchange);
    int read(Exchange& exchange);
    int write(Exchange& exchange);
    int rename(Exchange& exchange, std::uint64_t to, unsigned flags);
    int open_directory(Exchange& exchange);
    int list(Exchange& exchange, bool plus);
    int statfs(Exchange& exchange);
    void reply_attributes(Exchange& exchange, const struct stat& attributes) const;

    NullTree tree_;
};

}  // namespace fusesim::daemons

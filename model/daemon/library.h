#pragma once

#include "fuse/request.h"
#include "host/profile.h"
#include "transport/message.h"

namespace fusesim::daemon {

/// What the library and a null file system compute for a request, in user mode; of that, what comes
/// after the reply is `costs.libfuse_loop`.
sim::Time library_time(const host::Costs& costs, const transport::Call& call);

/// The same for a message that forgets.
sim::Time library_time_of_forget(const host::Costs& costs);

}  // namespace fusesim::daemon

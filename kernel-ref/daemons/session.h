#pragma once

#include "options.h"
#include "stamps.h"

#include <string>

namespace fusesim::daemons {

/// The file that an observer shares; null if it cannot be made, which standard error then says.
stamps::Log* open_log(const std::string& path);

/// Adds what the kernel must hear at mount time to the arguments of a new session.
void add_mount_options(fuse_args& args, const Options& options);

/// Mounts, serves until unmounted or told to stop, unmounts. Returns the exit code.
int serve(fuse_session* session, const Program& program, const Options& options);

/// Lets the kernel read and write `fd` itself for an open file whose reply follows on this
/// thread. Returns the backing id, or a negative error number.
int open_backing(fuse_session* session, int fd);

void close_backing(fuse_session* session, int backing_id);

/// The next OPEN or CREATE reply of this thread says that its file is passed through.
void pass_through_next(int backing_id);

}  // namespace fusesim::daemons

#pragma once

#include "options.h"

namespace fusesim::daemons {

/// Mounts, serves until unmounted or told to stop, unmounts. Returns the exit code.
int serve(fuse_args& args,
          const fuse_lowlevel_ops& operations,
          void* filesystem,
          const Options& options);

}  // namespace fusesim::daemons

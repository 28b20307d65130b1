#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace fusesim::sweep {

/// There is no Slurm here, or it refused the work: what() says why.
class NoSlurm : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct SlurmOptions {
    std::string name;              ///< of the job
    std::filesystem::path folder;  ///< for its script and what it complains of; seen by all nodes
    std::vector<std::string> sbatch;          ///< further options of sbatch
    unsigned jobs = 0;                        ///< elements at a time; 0: as Slurm likes
    const std::atomic<bool>* stop = nullptr;  ///< cancels the job and returns; may be null
    std::function<void()> look;               ///< called now and then; may be empty
};

/// What became of one command of a job.
struct SlurmElement {
    int code = -1;           ///< its exit code; -1: it was never run to its end
    std::string complaints;  ///< its standard error
};

/// Waits for a job of that name that an earlier program has left, if there is one; false if it was
/// stopped. Throws NoSlurm.
bool await_earlier_job(const SlurmOptions& options);

/// Runs commands as the elements of one Slurm job array, several in turn in an element where there
/// are more than MaxArraySize, and waits for the job's end. Each must be able to run on any node,
/// in the same working directory. Empty if it was stopped. Throws NoSlurm, std::system_error.
std::vector<SlurmElement> run_in_slurm(const std::vector<std::vector<std::string>>& commands,
                                       const SlurmOptions& options);

/// The script of such an array: bash, with every command quoted. `each`: commands of an element.
std::string slurm_script(const std::vector<std::vector<std::string>>& commands,
                         std::size_t each,
                         const std::filesystem::path& folder);

}  // namespace fusesim::sweep

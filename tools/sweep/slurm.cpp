#include "slurm.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

namespace fusesim::sweep {

namespace {

using namespace std::chrono_literals;

constexpr auto between_looks = 500ms;

/// What scontrol says if it says nothing; slurm.conf's default for MaxArraySize.
constexpr std::size_t usual_array = 1001;

std::string shell_quoted(const std::string& word) {
    std::string out = "'";
    for (const char c : word) {
        out += c == '\'' ? "'\\''" : std::string(1, c);
    }
    return out + "'";
}

struct Output {
    int code = 0;
    std::string text;
};

/// Of a shell command, its complaints with it.
Output output_of(const std::string& command) {
    std::fflush(nullptr);
    FILE* const pipe = popen(("{ " + command + "; } 2>&1").c_str(), "r");
    if (pipe == nullptr) {
        throw std::system_error(errno, std::generic_category(), "popen");
    }
    Output out;
    std::array<char, 4096> part{};
    for (;;) {
        errno = 0;
        const std::size_t got = std::fread(part.data(), 1, part.size(), pipe);
        out.text.append(part.data(), got);
        if (got == 0 && errno != EINTR) {
            break;
        }
        std::clearerr(pipe);  // a signal came, which may ask to stop
    }
    const int status = pclose(pipe);
    out.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    while (!out.text.empty() && out.text.back() == '\n') {
        out.text.pop_back();
    }
    return out;
}

std::string running_job(const std::string& name) {
    const Output found = output_of("squeue --me --noheader --array --name=" + shell_quoted(name) +
                                   " --format=%F | head -n 1");
    return found.code == 0 && found.text.find_first_not_of("0123456789") == std::string::npos
               ? found.text
               : "";
}

std::size_t largest_array() {
    const Output found =
        output_of("scontrol show config | sed -n 's/^MaxArraySize *= *\\([0-9]*\\)$/\\1/p'");
    const bool number =
        !found.text.empty() && found.text.find_first_not_of("0123456789") == std::string::npos;
    return number ? std::max<std::size_t>(1, std::stoul(found.text)) : usual_array;
}

std::string submit(const std::vector<std::vector<std::string>>& commands,
                   const SlurmOptions& options) {
    const std::size_t most = largest_array();
    const std::size_t each = (commands.size() + most - 1) / most;
    const std::size_t elements = (commands.size() + each - 1) / each;
    const std::filesystem::path script = options.folder / "script";
    std::ofstream(script) << slurm_script(commands, each, options.folder);
    std::string command = fmt::format(
        "sbatch --parsable --job-name={} --array=0-{}{} --ntasks=1 --output={} --error={}",
        shell_quoted(options.name),
        elements - 1,
        options.jobs > 0 ? fmt::format("%{}", options.jobs) : "",
        shell_quoted((options.folder / "%a.out").string()),
        shell_quoted((options.folder / "%a.err").string()));
    for (const std::string& option : options.sbatch) {
        command += " " + shell_quoted(option);
    }
    const Output submitted = output_of(command + " " + shell_quoted(script.string()));
    const std::string job = submitted.text.substr(0, submitted.text.find(';'));
    if (submitted.code != 0 || job.find_first_not_of("0123456789") != std::string::npos) {
        throw NoSlurm("sbatch refused the job: " + submitted.text);
    }
    return job;
}

bool is_over(const std::string& job) {
    const Output queue = output_of("squeue --noheader --jobs=" + job + " --format=%T");
    // Slurm forgets a job some minutes after its end.
    return (queue.code == 0 && queue.text.empty()) ||
           queue.text.find("Invalid job id") != std::string::npos;
}

/// False if it was stopped, and so is the job.
bool await(const std::string& job, const SlurmOptions& options) {
    do {
        if (options.stop != nullptr && *options.stop) {
            output_of("scancel " + job);
            return false;
        }
        std::this_thread::sleep_for(between_looks);
        if (options.look) {
            options.look();
        }
    } while (!is_over(job));
    return true;
}

std::string content_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::string slurm_script(const std::vector<std::vector<std::string>>& commands,
                         std::size_t each,
                         const std::filesystem::path& folder) {
    std::string script = "#!/bin/bash\npoint() {\n    case $1 in\n";
    for (std::size_t i = 0; i < commands.size(); ++i) {
        script += fmt::format("        {})", i);
        for (const std::string& word : commands[i]) {
            script += " " + shell_quoted(word);
        }
        script += " ;;\n";
    }
    script += fmt::format(
        "    esac\n"
        "}}\n"
        "cd {}\n"
        "for ((i = SLURM_ARRAY_TASK_ID * {}; i < (SLURM_ARRAY_TASK_ID + 1) * {} && i < {}; ++i)); "
        "do\n"
        "    point $i > /dev/null 2> {}/$i.complaints\n"
        "    echo $? > {}/$i.code\n"
        "done\n",
        shell_quoted(std::filesystem::current_path().string()),
        each,
        each,
        commands.size(),
        shell_quoted(folder.string()),
        shell_quoted(folder.string()));
    return script;
}

bool await_earlier_job(const SlurmOptions& options) {
    if (output_of("command -v sbatch squeue scancel").code != 0) {
        throw NoSlurm("there is no sbatch here; on Debian it is in slurm-client");
    }
    const std::string job = running_job(options.name);
    return job.empty() || await(job, options);
}

std::vector<SlurmElement> run_in_slurm(const std::vector<std::vector<std::string>>& commands,
                                       const SlurmOptions& options) {
    if (commands.empty()) {
        return {};
    }
    std::filesystem::remove_all(options.folder);
    std::filesystem::create_directories(options.folder);
    if (!await(submit(commands, options), options)) {
        return {};
    }
    std::vector<SlurmElement> elements(commands.size());
    for (std::size_t i = 0; i < elements.size(); ++i) {
        const std::string code = content_of(options.folder / fmt::format("{}.code", i));
        elements[i].code = code.empty() ? -1 : std::atoi(code.c_str());
        elements[i].complaints = content_of(options.folder / fmt::format("{}.complaints", i));
    }
    return elements;
}

}  // namespace fusesim::sweep

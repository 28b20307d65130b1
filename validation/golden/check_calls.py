#!/usr/bin/env python3
"""Replays the recorded calls of a program and counts the requests that come of them.

    check_calls.py FUSESIM TRACES EXPECTED.json            checks
    check_calls.py FUSESIM TRACES EXPECTED.json --update   writes EXPECTED.json anew

The same program ran on fresh mounts of stackfs over tmpfs: once with its calls recorded
(tree-calls.fst), once with its requests (tree.fst), and once more under each of some other settings,
with its requests counted (tree-settings.json, beside this file). tools/record/make-traces makes all of
them anew.

- Two runs give the same bytes, and make as many calls of each kind as were recorded.
- The requests of each opcode are as many as on the real mount, to 2 % or one of them, under the
  recorded settings and under the others. How many FORGETs share a message is left out.
- The mean latency of each kind of call with 100 calls or more lies within 50 % of the recorded one,
  with the daemon's service times fitted from tree.fst. Calls of less than 5 us are left out: the
  recorder itself is a large part of them.
- No prediction has changed: operations and requests are those of EXPECTED.json.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

COUNT_TOLERANCE = 0.02
LATENCY_TOLERANCE = 0.50
ENOUGH = 100
LONG_ENOUGH_S = 5e-6
SHARED_MESSAGES = {"FORGET", "BATCH_FORGET"}


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr.decode()}")
    return done.stdout


def mount_settings(options):
    """stackfs's options as keys of a scenario."""
    for option in options.split(","):
        key, _, value = option.partition("=")
        if key.endswith("_timeout"):
            value += " s"
        yield f"mount.{key}={value or 'true'}"


def replay(fusesim, trace, settings):
    command = [fusesim, "replay", trace, "--json", "-", "--set", "workload.affinity=[0]"]
    for setting in settings:
        command += ["--set", setting]
    return run(*command)


def count_problems(where, real, simulated):
    for opcode in sorted(set(real) | set(simulated)):
        if opcode in SHARED_MESSAGES:
            continue
        made, seen = simulated.get(opcode, {}).get("count", 0), real.get(opcode, 0)
        if abs(made - seen) > max(1, COUNT_TOLERANCE * seen):
            yield f"{where}: {made} {opcode} simulated, {seen} on the real mount"


def problems(fusesim, traces, expected):
    calls, requests = traces / "tree-calls.fst", traces / "tree.fst"
    recorded = list(mount_settings("entry_timeout=1000,attr_timeout=1000"))
    found = {}

    with tempfile.TemporaryDirectory() as folder:
        daemon = pathlib.Path(folder) / "daemon.yaml"
        run(fusesim, "fit", requests, "--out", daemon)
        fitted = replay(fusesim, calls, recorded + [f"daemon.from={daemon}"])
    for call, both in json.loads(fitted)["comparison"]["requests"].items():
        if both["recorded"]["count"] >= ENOUGH:
            mean = both["recorded"]["latency_s"]["mean"]
            error = both["simulated"]["latency_s"]["mean"] / mean - 1
            line = f"{call}: mean {mean * 1e6:.2f} us recorded, {error:+.1%} simulated"
            print(line)
            if abs(error) > LATENCY_TOLERANCE and mean >= LONG_ENOUGH_S:
                yield line

    stackfs = ["daemon.filesystem=stackfs"]
    first = replay(fusesim, calls, recorded + stackfs)
    if first != replay(fusesim, calls, recorded + stackfs):
        yield "two runs differ"
    result = json.loads(first)
    stats = json.loads(run(fusesim, "trace", "stats", calls, "--json", "-"))["opcodes"]
    for call in sorted(set(stats) | set(result["operations"])):
        if stats[call]["count"] != result["operations"].get(call, {}).get("count"):
            yield f"{call}: not as many calls as in the trace"
    real = json.loads(run(fusesim, "trace", "stats", requests, "--json", "-"))["opcodes"]
    real = {opcode: one["count"] for opcode, one in real.items()}
    yield from count_problems("as recorded", real, result["requests"])
    found["operations"], found["requests"] = result["operations"], result["requests"]

    settings_file = pathlib.Path(__file__).with_name("tree-settings.json")
    for cell in json.loads(settings_file.read_text(encoding="utf-8")):
        settings = list(mount_settings(cell["settings"]))
        simulated = json.loads(replay(fusesim, calls, settings + stackfs))["requests"]
        yield from count_problems(cell["settings"], cell["requests"], simulated)
        found[cell["settings"]] = {name: one["count"] for name, one in simulated.items()}

    if "--update" in sys.argv:
        expected.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    elif found != json.loads(expected.read_text(encoding="utf-8")):
        yield "a prediction has changed; if that is right: check_calls.py ... --update"


def main():
    found = list(problems(sys.argv[1], *map(pathlib.Path, sys.argv[2:4])))
    for problem in found:
        print("error:", problem)
    sys.exit(1 if found else 0)


main()

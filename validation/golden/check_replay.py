#!/usr/bin/env python3
"""Replays one bundled trace and checks what a replay promises.

    check_replay.py FUSESIM TRACE EXPECTED.json            checks
    check_replay.py FUSESIM TRACE EXPECTED.json --update   writes EXPECTED.json anew

- Two runs give the same bytes.
- Every opcode has as many requests as the trace.
- The phases of every opcode add up to its mean latency.
- The mean latency of every opcode with 100 requests or more is within 25 % of the recorded one.
- No prediction has changed: requests and stations are those of EXPECTED.json.
"""

import json
import subprocess
import sys

TOLERANCE = 0.25
ENOUGH = 100


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def problems(fusesim, trace, expected):
    first = run(fusesim, "replay", trace, "--json", "-")
    if first != run(fusesim, "replay", trace, "--json", "-"):
        yield "two runs differ"
    result = json.loads(first)
    stats = json.loads(run(fusesim, "trace", "stats", trace, "--json", "-"))

    for opcode in sorted(set(stats["opcodes"]) | set(result["requests"])):
        in_trace = stats["opcodes"].get(opcode, {}).get("count", 0)
        replayed = result["requests"].get(opcode, {}).get("count", 0)
        if in_trace != replayed:
            yield f"{opcode}: {replayed} requests replayed, {in_trace} in the trace"

    for opcode, request in result["requests"].items():
        if "phases_s" in request and "latency_s" in request:
            mean, parts = request["latency_s"]["mean"], sum(request["phases_s"].values())
            if abs(mean - parts) > 1e-9 * mean + 1e-12:
                yield f"{opcode}: phases add up to {parts}, the mean is {mean}"

    for opcode, both in result["comparison"]["requests"].items():
        recorded = both["recorded"].get("latency_s", {}).get("mean", 0)
        if both["recorded"]["count"] >= ENOUGH and recorded > 0:
            error = both["simulated"]["latency_s"]["mean"] / recorded - 1
            line = f"{opcode}: mean {recorded * 1e6:.2f} us recorded, {error:+.1%} simulated"
            print(line)
            if abs(error) > TOLERANCE:
                yield line

    got = {key: result[key] for key in ("requests", "stations")}
    if "--update" in sys.argv:
        with open(expected, "w", encoding="utf-8") as file:
            json.dump(got, file, indent=1)
            file.write("\n")
    else:
        with open(expected, encoding="utf-8") as file:
            if json.load(file) != got:
                yield "a prediction has changed; if that is right: check_replay.py ... --update"


def main():
    found = list(problems(*sys.argv[1:4]))
    for problem in found:
        print("error:", problem)
    sys.exit(1 if found else 0)


main()

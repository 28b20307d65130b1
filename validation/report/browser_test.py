#!/usr/bin/env python3
"""Opens a report of real results in Chromium: no error, every chart drawn, every tab reachable.

    browser_test.py FUSESIM
"""

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SCENARIO = """
daemon: {filesystem: stackfs}
mount: {direct_io: true}
workload: {threads: 2, operations: [{op: read}, {op: stat}]}
run: {duration: 20 ms}
slo: [read.p99 < 1 us, ops_per_s > 1 iops]
"""

# What a file may be called that somebody else made.
HOSTILE = "</script><img src=x onerror=\"problems.push('markup')\">"

BEFORE = """<script>
const problems = [];
addEventListener('error', (event) => problems.push(event.message));
addEventListener('securitypolicyviolation', (event) => problems.push(event.blockedURI));
</script>"""

AFTER = """<script>
{
const tabs = [...document.querySelectorAll('[role=tab]')];
const shown = () => [...document.querySelectorAll('[role=tabpanel]')].filter((one) => !one.hidden);
const seen = [];
for (const tab of tabs) {
    tab.click();
    if (shown().length !== 1 || shown()[0].id !== tab.dataset.part) {
        problems.push(`tab ${tab.textContent} shows something else`);
    }
    for (const canvas of shown()[0].querySelectorAll('canvas')) {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        if (!data.some((byte) => byte !== 0)) {
            problems.push(`${canvas.getAttribute('aria-label')} is empty`);
        }
    }
    seen.push(tab.textContent);
}
tabs[0].focus();
tabs[0].click();
tabs[0].dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
if (document.activeElement !== tabs[1]) {
    problems.push('the arrow keys do not move between tabs');
}
const verdict = document.createElement('pre');
verdict.id = 'verdict';
verdict.textContent = JSON.stringify({
    problems, tabs: seen, charts: document.querySelectorAll('canvas').length,
    text: document.getElementById('about').textContent,
});
document.body.append(verdict);
}
</script>"""


def run(*command, allowed=(0,)):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in allowed:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def verdict_of(page, folder, browser):
    with open(page, encoding="utf-8") as file:
        text = file.read()
    text = text.replace("<head>", "<head>" + BEFORE, 1)
    text = text[: text.rindex("</body>")] + AFTER + "</body></html>"
    probed = os.path.join(folder, "probed.html")
    with open(probed, "w", encoding="utf-8") as file:
        file.write(text)
    dom = run(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
              "--disable-background-networking", "--disable-component-update", "--disable-sync",
              "--user-data-dir=" + os.path.join(folder, "profile"), "--dump-dom",
              "file://" + probed)
    found = re.search(r'<pre id="verdict">(.*?)</pre>', dom, re.DOTALL)
    if not found:
        sys.exit("the page's script did not come to its end")
    return json.loads(html.unescape(found.group(1)))


def check(verdict, tabs, least_charts):
    if verdict["problems"]:
        sys.exit("problems: " + "; ".join(verdict["problems"]))
    if verdict["tabs"] != tabs:
        sys.exit(f"tabs are {verdict['tabs']}, not {tabs}")
    if verdict["charts"] < least_charts:
        sys.exit(f"{verdict['charts']} charts, not {least_charts}")


def main():
    fusesim = sys.argv[1]
    browser = shutil.which("chromium")
    if not browser:
        print("skipped: no chromium")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        def path(name):
            return os.path.join(folder, name)

        with open(path("scenario.yaml"), "w", encoding="utf-8") as file:
            file.write(SCENARIO)
        cache = ["--cache", path("cache")]
        run(fusesim, "run", path("scenario.yaml"), "--details", "--json", path("run.json"),
            allowed=(1,))
        run(fusesim, "sweep", path("scenario.yaml"), "--param", "workload.threads=1,2",
            "--param", "mount.clone_fd=false,true", *cache, "--json", path("sweep.json"))
        run(fusesim, "capacity", path("scenario.yaml"), "--set", "slo=[]", "--slo",
            "read.p99 < 100 us", "--range", "1..8", *cache, "--json", path("capacity.json"))
        run(fusesim, "advise", path("scenario.yaml"), "--repeat", "1", *cache, "--json",
            path("advise.json"))
        run(fusesim, "report", path("run.json"), path("sweep.json"), path("capacity.json"),
            path("advise.json"), "--out", path("report.html"))
        check(verdict_of(path("report.html"), folder, browser),
              ["Overview", "Over time", "Latency", "Stations and requests", "Configuration",
               "Sweep", "Capacity", "Advice"], 14)

        with open(path("run.json"), encoding="utf-8") as file:
            result = json.load(file)
        del result["details"]
        result["stations"][0]["name"] = HOSTILE
        result["config"]["workload"]["trace"] = HOSTILE
        result["fusesim"] = HOSTILE
        with open(path("hostile.json"), "w", encoding="utf-8") as file:
            json.dump(result, file)
        run(fusesim, "report", path("hostile.json"), "--out", path("hostile.html"))
        verdict = verdict_of(path("hostile.html"), folder, browser)
        check(verdict, ["Overview", "Latency", "Stations and requests", "Configuration"], 3)
        if HOSTILE not in verdict["text"]:
            sys.exit("a name did not stay text")
    print("every part is drawn, no error")


if __name__ == "__main__":
    main()

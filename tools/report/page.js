'use strict';

// Builds the page from the documents inside it. All text goes in as text, never as markup: names
// come from files that anybody may have written.

const documents = JSON.parse(document.getElementById('documents').textContent);
const charts = [];

// --- numbers

function scaled(value, units, step) {
    let i = 0;
    while (Math.abs(value) >= step && i < units.length - 1) {
        value /= step;
        i += 1;
    }
    return `${Number(value.toPrecision(3))} ${units[i]}`.trim();
}

const time = (s) => (s === null || s === undefined ? '-' : scaled(s * 1e9, ['ns', 'us', 'ms', 's'], 1000));
const rate = (n) => scaled(n, ['', 'k', 'M', 'G'], 1000);
const bytes = (n) => scaled(n, ['B', 'KiB', 'MiB', 'GiB', 'TiB'], 1024);
const percent = (share) => `${Number((share * 100).toPrecision(3))} %`;
const signed = (share) => (share < 9 ? `${share >= 0 ? '+' : ''}${(share * 100).toFixed(1)} %` : `x ${(share + 1).toFixed(0)}`);

// --- elements

function element(tag, text, attributes) {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) {
        made.textContent = text;
    }
    Object.entries(attributes || {}).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
}

function table(head, rows) {
    const made = element('table');
    const header = element('tr');
    head.forEach((text, i) => {
        const prose = rows.length > 0 && rows[0][i] instanceof Node && rows[0][i].className === 'text';
        header.append(element('th', text, { scope: 'col', ...(prose && { class: 'text' }) }));
    });
    made.append(header);
    rows.forEach((row) => {
        const line = element('tr');
        row.forEach((cell) => line.append(
            cell instanceof Node ? cell : element('td', cell)));
        made.append(line);
    });
    const around = element('div', null, { class: 'scroll', tabindex: '0' });
    around.append(made);
    return around;
}

const verdict = (met) => element('td', met ? 'met' : 'MISSED', { class: met ? 'met' : 'missed' });
const prose = (text) => element('td', text, { class: 'text' });

// --- parts of the page, one tab each

const tabs = document.getElementById('tabs');
const parts = document.getElementById('parts');

function show(name) {
    [...tabs.children].forEach((tab) => {
        const chosen = tab.dataset.part === name;
        tab.setAttribute('aria-selected', chosen);
        tab.tabIndex = chosen ? 0 : -1;
        document.getElementById(tab.dataset.part).hidden = !chosen;
    });
    charts.forEach((chart) => chart.resize());
}

function part(title) {
    const name = `part${tabs.children.length}`;
    const section = element('section', null, { id: name, role: 'tabpanel', 'aria-label': title });
    section.append(element('h2', title));
    const tab = element('button', title, { role: 'tab', 'aria-controls': name, 'data-part': name });
    tab.addEventListener('click', () => show(name));
    tabs.append(tab);
    parts.append(section);
    return section;
}

tabs.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
        const all = [...tabs.children];
        const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
        show(next.dataset.part);
        next.focus();
    }
});

// --- charts

const colours = ['#4493f8', '#f0883e', '#3fb950', '#db61a2', '#a371f7', '#d4a72c', '#39c5cf',
    '#f85149', '#8b949e', '#7ee787'];
const colour = (i) => colours[i % colours.length];

function style() {
    const now = getComputedStyle(document.documentElement);
    Chart.defaults.color = now.getPropertyValue('--front').trim();
    Chart.defaults.borderColor = now.getPropertyValue('--line').trim();
    Chart.defaults.font.family = 'system-ui, "DejaVu Sans", sans-serif';
    Chart.defaults.animation = false;
    Chart.defaults.maintainAspectRatio = false;
    Chart.defaults.elements.point.radius = 0;
    Chart.defaults.elements.point.hitRadius = 6;
    Chart.defaults.elements.line.borderWidth = 1.5;
    Chart.defaults.plugins.legend.labels.boxWidth = 12;
}

function figure(where, title, config) {
    const around = element('figure');
    around.append(element('figcaption', title));
    const box = element('div', null, { class: 'canvas' });
    const canvas = element('canvas', null, { role: 'img', 'aria-label': title });
    box.append(canvas);
    around.append(box);
    where.append(around);
    charts.push(new Chart(canvas, config));
}

function grid(section) {
    const made = element('div', null, { class: 'charts' });
    section.append(made);
    return made;
}

const axis = (text, format, more) => ({
    format,
    title: { display: true, text },
    ticks: { callback: (value) => format(value), maxRotation: 0 },
    ...more,
});

/// Labels at 1, 2 and 5 of each decade only.
const logarithmic = (text, format) => axis(text, format, {
    type: 'logarithmic',
    ticks: {
        callback: (value) => ('125'.includes(value.toExponential()[0]) ? format(value) : ''),
        maxRotation: 0,
    },
});

/// series: [{label, points: [{x, y}], ...}]
function lines(where, title, series, x, y, more) {
    figure(where, title, {
        type: 'scatter',
        data: {
            datasets: series.map((one, i) => ({
                showLine: true, spanGaps: false, borderColor: colour(i), backgroundColor: colour(i),
                ...one, data: one.points,
            })),
        },
        options: {
            scales: { x, y },
            plugins: {
                tooltip: {
                    callbacks: {
                        label: (item) => `${item.dataset.label}: ${x.format(item.parsed.x)}, ${y.format(item.parsed.y)}`,
                    },
                },
            },
            ...more,
        },
    });
}

function bars(where, title, labels, datasets, format, stacked) {
    figure(where, title, {
        type: 'bar',
        data: {
            labels,
            datasets: datasets.map((one, i) => ({ backgroundColor: colour(i), ...one })),
        },
        options: {
            indexAxis: 'y',
            scales: {
                x: { stacked, beginAtZero: true, ticks: { callback: (value) => format(value) } },
                y: { stacked },
            },
            plugins: {
                legend: { display: datasets.length > 1 },
                tooltip: {
                    callbacks: { label: (item) => `${item.dataset.label}: ${format(item.parsed.x)}` },
                },
            },
        },
    });
}

const over = (times, values) => times.map((x, i) => ({ x, y: values[i] }));

// --- one run

function needs(run) {
    const cores = run.cpu && run.window.duration_s > 0
        ? (run.cpu.application_s + run.cpu.daemon_s + run.cpu.kernel_s) / run.window.duration_s : null;
    const missed = (run.slo || []).filter((one) => !one.met);
    let text = `${rate(run.throughput.ops_per_s)} operations a second`;
    text += cores === null ? '' : ` take ${Number(cores.toPrecision(3))} cores`;
    if (run.slo) {
        text += missed.length === 0 ? '; all that was wanted is met'
            : `; missed: ${missed.map((one) => one.slo).join(', ')}`;
    }
    return `${text}.`;
}

function headroom(run) {
    const share = run.bottleneck ? run.bottleneck.utilisation : 0;
    if (share <= 0) {
        return 'No station was busy.';
    }
    if (share >= 0.95) {
        return `None: ${run.bottleneck.station} is busy all the time.`;
    }
    return `${run.bottleneck.station} alone could serve ${Number((1 / share).toPrecision(2))} times as much.`;
}

function next(kinds) {
    const advice = kinds.find((one) => one.kind === 'advise');
    if (!advice) {
        return 'fusesim advise ranks the settings that would help, fusesim capacity finds what load fits.';
    }
    const best = advice.data.changes.find((one) => one.helps);
    if (!best) {
        return 'No setting helps: the time goes where none of them reaches.';
    }
    const name = Object.entries(best.set).map(([key, value]) => `${key}=${value}`).join(' ');
    return `${name}: ${advice.data.goal} ${signed(best.change)}.`;
}

function answers(section, run) {
    const list = element('dl', null, { class: 'answers' });
    [['What it needs', needs(run)],
        ['Where the bottleneck is', run.bottleneck ? run.bottleneck.sentence : 'No station was busy.'],
        ['How much headroom', headroom(run)],
        ['Which change next', next(documents)]].forEach(([question, answer]) => {
        list.append(element('dt', question), element('dd', answer));
    });
    section.append(list);
}

const latencyCells = (latency) => ['mean', 'p50', 'p95', 'p99', 'p999', 'max']
    .map((key) => (latency ? time(latency[key]) : '-'));

function overview(run) {
    const section = part('Overview');
    answers(section, run);
    if (run.slo) {
        section.append(element('h2', 'What was wanted'));
        section.append(table(['', 'is', ''], run.slo.map((one) => {
            const seconds = /\.(mean|p50|p95|p99|p99\.9|p999|max) /.test(one.slo);
            return [one.slo, seconds ? time(one.value) : rate(one.value), verdict(one.met)];
        })));
    }
    const head = ['count', 'mean', 'p50', 'p95', 'p99', 'p99.9', 'max'];
    const rows = (named) => Object.entries(named).map(
        ([name, one]) => [name, one.count, ...latencyCells(one.latency_s)]);
    if (Object.keys(run.operations).length > 0) {
        section.append(element('h2', 'Calls of applications'));
        section.append(table(['call', ...head], rows(run.operations)));
    }
    section.append(element('h2', 'Requests to the daemon'));
    section.append(table(['request', ...head], rows(run.requests)));
    if (run.comparison) {
        comparison(section, run.comparison);
    }
    const memory = Object.entries(run.memory || {});
    if (memory.length > 0) {
        section.append(element('h2', 'Memory'));
        section.append(table(['', ''], memory.map(([name, value]) => [
            name.replace(/_bytes$/, '').replace(/_/g, ' '),
            name.endsWith('_bytes') ? bytes(value) : String(value)])));
    }
}

function comparison(section, compared) {
    section.append(element('h2', `Recorded in ${compared.trace}, and simulated`));
    section.append(table(['request', 'count', 'recorded mean', 'simulated', 'error', 'recorded p99', 'simulated', 'error'],
        Object.entries(compared.requests).map(([name, one]) => [name, one.recorded.count,
            time(one.recorded.latency_s.mean), time(one.simulated.latency_s.mean),
            one.error.mean === undefined ? '-' : signed(one.error.mean),
            time(one.recorded.latency_s.p99), time(one.simulated.latency_s.p99),
            one.error.p99 === undefined ? '-' : signed(one.error.p99)])));
}

function overTime(run) {
    const { details } = run;
    const section = part('Over time');
    const where = grid(section);
    const named = Object.entries(
        Object.keys(details.operations).length > 0 ? details.operations : details.requests);
    const clock = axis('time in the window', time, { min: 0, max: details.time_s[details.time_s.length - 1] });
    lines(where, 'Throughput', named.map(([label, one]) => ({ label, points: over(details.time_s, one.per_s) })),
        clock, axis('a second', rate, { beginAtZero: true }));
    lines(where, 'Latency, median', named.map(([label, one]) => ({ label, points: over(details.time_s, one.p50_s) })),
        clock, axis('latency', time, { beginAtZero: true }));
    lines(where, 'Latency, 99 %', named.map(([label, one]) => ({ label, points: over(details.time_s, one.p99_s) })),
        clock, axis('latency', time, { beginAtZero: true }));
    const stations = Object.entries(details.stations);
    lines(where, 'Utilisation', stations.map(([label, one]) => ({ label, points: over(details.time_s, one.utilisation) })),
        clock, axis('busy', percent, { min: 0, max: 1 }));
    lines(where, 'Queue length', stations.filter(([, one]) => one.queue_length.some((n) => n > 0))
        .map(([label, one]) => ({ label, points: over(details.time_s, one.queue_length) })),
    clock, axis('waiting', (n) => String(Number(n.toPrecision(3))), { beginAtZero: true }));
}

function latencies(run) {
    const section = part('Latency');
    const where = grid(section);
    if (run.details) {
        [['Calls of applications', run.details.operations], ['Requests', run.details.requests]].forEach(([title, named]) => {
            const series = Object.entries(named).map(([label, one]) => ({
                label,
                points: one.distribution.latency_s
                    .map((x, i) => ({ x, y: one.distribution.share[i] })).filter((point) => point.x > 0),
            }));
            if (series.length > 0) {
                lines(where, `${title}: share that took at most so long`, series,
                    logarithmic('latency', time), axis('share', percent, { min: 0, max: 1 }));
            }
        });
    }
    const phased = Object.entries(run.requests).filter(([, one]) => one.phases_s);
    if (phased.length > 0) {
        bars(where, 'Where the time of a request goes (mean)', phased.map(([name]) => name),
            ['background', 'queue', 'processing', 'reply'].map((label) => (
                { label, data: phased.map(([, one]) => one.phases_s[label] || 0) })), time, true);
        section.append(table(['request', 'mean', 'background', 'queue', 'processing', 'reply'],
            phased.map(([name, one]) => [name, time(one.latency_s ? one.latency_s.mean : null),
                ...['background', 'queue', 'processing', 'reply'].map((key) => time(one.phases_s[key]))])));
    }
}

function load(run) {
    const section = part('Stations and requests');
    const where = grid(section);
    bars(where, 'Utilisation', run.stations.map((one) => one.name),
        [{ label: 'busy', data: run.stations.map((one) => one.utilisation) }], percent, false);
    const calls = Object.values(run.operations).reduce((sum, one) => sum + one.count, 0);
    const requests = Object.entries(run.requests);
    if (calls > 0 && requests.length > 0) {
        bars(where, 'Requests for each call of an application', requests.map(([name]) => name),
            [{ label: 'requests a call', data: requests.map(([, one]) => one.count / calls) }],
            (n) => String(Number(n.toPrecision(3))), false);
    }
    section.append(table(['station', 'utilisation', 'queue', 'waiting', 'service'],
        run.stations.map((one) => [one.name, percent(one.utilisation),
            Number(one.queue_length.toPrecision(3)), time(one.waiting_s), time(one.service_s)])));
}

function configuration(run) {
    const section = part('Configuration');
    section.append(element('p', 'Every setting of this run, defaults included; fusesim run takes it as it is.'));
    section.append(element('pre', JSON.stringify(run.config, null, 2), { tabindex: '0' }));
}

// --- many runs

const mostFrequent = (run) => Object.entries(Object.keys(run.operations).length > 0 ? run.operations : run.requests)
    .filter(([, one]) => one.latency_s).sort((a, b) => b[1].count - a[1].count)[0];
const p99 = (run) => { const most = mostFrequent(run); return most ? most[1].latency_s.p99 : null; };

function number(value) {
    const found = /^([\d.]+)\s*(|ns|us|ms|s|B|KiB|MiB|GiB|iops|kiops)$/.exec(String(value));
    const factor = { ns: 1e-9, us: 1e-6, ms: 1e-3, KiB: 1024, MiB: 1048576, GiB: 1073741824, kiops: 1000 };
    return found ? Number(found[1]) * (factor[found[2]] || 1) : null;
}

function sweep(data) {
    const section = part('Sweep');
    const where = grid(section);
    const keys = Object.keys(data.points[0].set);
    const different = (key) => new Set(data.points.map((one) => one.set[key])).size;
    const numeric = keys.filter((key) => data.points.every((one) => number(one.set[key]) !== null))
        .sort((a, b) => different(b) - different(a))[0];
    if (numeric) {
        const others = keys.filter((key) => key !== numeric);
        const groups = new Map();
        data.points.forEach((one) => {
            const label = others.map((key) => `${key.split('.').pop()}=${one.set[key]}`).join(' ') || numeric;
            groups.set(label, [...(groups.get(label) || []), one]);
        });
        const series = (get) => [...groups].map(([label, points]) => ({
            label, pointRadius: 3, points: points.map((one) => ({ x: number(one.set[numeric]), y: get(one.result) })),
        }));
        const spread = data.points.map((one) => number(one.set[numeric])).filter((n) => n > 0);
        const wide = spread.length > 0 && Math.max(...spread) / Math.min(...spread) > 20;
        const across = (wide ? logarithmic : axis)(numeric, rate);
        lines(where, 'Throughput', series((run) => run.throughput.ops_per_s), across, axis('operations a second', rate, { beginAtZero: true }));
        lines(where, 'Latency, 99 %', series(p99), across, axis('latency', time, { beginAtZero: true }));
    }
    pareto(where, data.points);
    if (keys.length === 2) {
        heat(section, data.points, keys);
    }
    section.append(element('h2', 'All points'));
    section.append(table([...keys, 'ops/s', 'relative', 'p99', 'busiest'], data.points.map((one) => [
        ...keys.map((key) => String(one.set[key])), rate(one.result.throughput.ops_per_s),
        signed(one.result.throughput.ops_per_s / data.points[0].result.throughput.ops_per_s - 1),
        time(p99(one.result)),
        one.result.bottleneck ? `${one.result.bottleneck.station} ${percent(one.result.bottleneck.utilisation)}` : ''])));
}

function pareto(where, points) {
    const all = points.map((one) => ({
        x: p99(one.result), y: one.result.throughput.ops_per_s,
        name: Object.entries(one.set).map(([key, value]) => `${key}=${value}`).join(' '),
    })).filter((one) => one.x !== null);
    const front = all.filter((one) => !all.some((other) => other !== one
        && other.x <= one.x && other.y >= one.y && (other.x < one.x || other.y > one.y)))
        .sort((a, b) => a.x - b.x);
    lines(where, 'Throughput against latency; the line joins what nothing beats', [
        { label: 'points', points: all, showLine: false, pointRadius: 4 },
        { label: 'front', points: front, stepped: true },
    ], axis('99 % latency', time), axis('operations a second', rate, { beginAtZero: true }), {
        plugins: {
            tooltip: { callbacks: { label: (item) => `${item.raw.name}: ${rate(item.parsed.y)}/s, ${time(item.parsed.x)}` } },
        },
    });
}

function heat(section, points, [down, across]) {
    const values = (key) => [...new Set(points.map((one) => String(one.set[key])))];
    const rates = points.map((one) => one.result.throughput.ops_per_s);
    const [low, high] = [Math.min(...rates), Math.max(...rates)];
    section.append(element('h2', 'Operations a second'));
    section.append(table([`${down} \\ ${across}`, ...values(across)], values(down).map((row) => [row,
        ...values(across).map((column) => {
            const one = points.find((point) => String(point.set[down]) === row && String(point.set[across]) === column);
            const cell = element('td', one ? rate(one.result.throughput.ops_per_s) : '');
            if (one) {
                const share = high > low ? (one.result.throughput.ops_per_s - low) / (high - low) : 1;
                cell.style.backgroundColor = `rgba(68, 147, 248, ${0.08 + 0.6 * share})`;
            }
            return cell;
        })])));
}

// --- answers of the other commands

function capacity(data) {
    const section = part('Capacity');
    const unit = data.unit ? ` ${data.unit}` : '';
    section.append(element('p', data.answer === null
        ? `No ${data.vary} meets ${data.slo.join(', ')}.`
        : `${data.vary}: ${data.set} is the ${data.find} that meets ${data.slo.join(', ')}${data.headroom === null ? '' : ` (headroom ${signed(data.headroom)})`}; ${data.limited_by || 'nothing'} is the limit.`));
    const where = grid(section);
    const across = axis(`${data.vary}${unit}`, rate);
    lines(where, 'Throughput', [{ label: 'operations a second', pointRadius: 3, points: data.points.map((one) => ({ x: one.value, y: one.ops_per_s })) }],
        across, axis('operations a second', rate, { beginAtZero: true }));
    data.slo.forEach((slo, i) => {
        const seconds = /\.(mean|p50|p95|p99|p99\.9|p999|max) /.test(slo);
        lines(where, slo, [
            { label: slo.split(' ')[0], pointRadius: 4, points: data.points.map((one) => ({ x: one.value, y: one.slo[i].value })),
              pointBackgroundColor: data.points.map((one) => (one.slo[i].met ? '#3fb950' : '#f85149')) },
        ], across, axis(slo.split(' ')[0], seconds ? time : rate, { beginAtZero: true }));
    });
    section.append(table([data.vary, 'ops/s', ...data.slo, ''], data.points.map((one) => [
        Object.values(one.set)[0], rate(one.ops_per_s),
        ...data.slo.map((slo, i) => (/ns|us|ms|\ds$| s$/.test(slo) ? time(one.slo[i].value) : rate(one.slo[i].value))),
        verdict(one.met)])));
}

function advise(data) {
    const section = part('Advice');
    const name = (set) => Object.entries(set).map(([key, value]) => `${key}=${value}`).join(' ');
    const told = data.changes.filter((one) => one.helps);
    if (told.length > 0) {
        bars(grid(section), `What each change does to ${data.goal}`, told.map((one) => name(one.set)),
            [{ label: 'change', data: told.map((one) => one.change) }], signed, false);
    }
    section.append(table(['change', data.goal, 'why', 'what it takes'], data.changes.map((one) => [
        name(one.set), signed(one.change), prose(one.reason || ''), prose(one.risk || '')])));
    if (data.together) {
        section.append(element('p', `Together: ${name(data.together.set)}: ${signed(data.together.change)}`));
    }
}

function validation(data) {
    const section = part('Validation');
    const where = grid(section);
    data.suites.forEach((suite) => {
        const units = [...new Set(suite.cells.map((one) => one.unit))];
        units.forEach((unit) => {
            const groups = new Map();
            suite.cells.filter((one) => one.unit === unit && one.reference > 0 && one.predicted > 0).forEach((one) => {
                groups.set(one.group, [...(groups.get(one.group) || []), one]);
            });
            const all = [...groups.values()].flat().flatMap((one) => [one.reference, one.predicted]);
            if (all.length === 0) {
                return;
            }
            const ends = [Math.min(...all), Math.max(...all)];
            const format = unit === 's' ? time : rate;
            lines(where, `${suite.name}: predicted against measured${unit ? `, ${unit}` : ''}`, [
                ...[...groups].map(([label, cells]) => ({
                    label, showLine: false, pointRadius: 3,
                    points: cells.map((one) => ({ x: one.reference, y: one.predicted, name: one.cell })),
                })),
                { label: 'equal', points: ends.map((n) => ({ x: n, y: n })), borderDash: [4, 4] },
            ], logarithmic('measured', format), logarithmic('predicted', format));
        });
        section.append(element('h2', suite.name));
        section.append(table(['group', 'cells', 'median error', '90 %', 'worst'],
            Object.entries(suite.summary).map(([group, one]) => [group, one.n,
                percent(one.median_abs_error), percent(one.p90_abs_error), percent(one.worst_abs_error)])));
    });
}

// --- the page

function run(data) {
    overview(data);
    if (data.details) {
        overTime(data);
    }
    latencies(data);
    load(data);
    configuration(data);
}

style();
document.getElementById('about').textContent = documents.map((one) => {
    const by = one.data.fusesim ? `, fusesim ${one.data.fusesim}` : '';
    const how = one.data.source ? `, ${one.data.source}, seed ${one.data.seed}` : '';
    return `${one.name}${how}${by}`;
}).join(' · ');
const builders = { run, sweep, capacity, advise, validate: validation };
documents.forEach((one) => builders[one.kind](one.data));
show('part0');
document.documentElement.dataset.charts = charts.length;

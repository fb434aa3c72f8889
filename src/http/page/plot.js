// What happened in the last two minutes: figures from one look to the next, and small plots of them.

const LOOKS = 120;

/** The looks at one mount. */
class Course {
  constructor() {
    Object.assign(this, { rates: [], latencies: [] });
  }

  /** Takes what `/status` says now. */
  look(at, { requests, latency }) {
    const before = this.last;
    this.last = { at, requests, count: latency?.count, seconds: latency?.seconds };
    if (!before) return;
    const seconds = (at - before.at) / 1000;
    const asked = requests - before.requests;
    // Fewer than before: another router, or another mount of that name.
    keep(this.rates, asked >= 0 && seconds > 0 ? asked / seconds : NaN);
    const answered = this.last.count - before.count;
    keep(this.latencies, answered > 0 ? (this.last.seconds - before.seconds) / answered : NaN);
  }

  get rate() {
    return this.rates.at(-1);
  }

  /** The mean of what was answered last; between calls that of the last ones. */
  get latency() {
    return this.latencies.findLast(Number.isFinite);
  }
}

/** Several courses as one: requests add up, latencies weigh as much as they were answered. */
function sum(mounts) {
  const all = { requests: 0, latency: null };
  for (const { requests, latency } of mounts) {
    all.requests += requests;
    if (latency) all.latency = { count: (all.latency?.count ?? 0) + latency.count, seconds: (all.latency?.seconds ?? 0) + latency.seconds };
  }
  return all;
}

function keep(list, value) {
  list.push(value);
  if (list.length > LOOKS) list.shift();
}

/** A small plot; where there is no figure, there is no line. */
function plot(label, width = 96, height = 28) {
  const line = svg('path', { class: 'plot-line' });
  const area = svg('path', { class: 'plot-area' });
  const base = svg('path', { class: 'plot-base', d: `M0 ${height - 0.5}H${width}` });
  const element = svg('svg', { class: 'plot', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label, preserveAspectRatio: 'none' }, base, area, line);
  const draw = values => {
    const shown = values.slice(-60);
    const most = Math.max(...shown.filter(Number.isFinite), 0) || 1;
    const points = shown.map((value, at) => [((60 - shown.length + at) / 59) * width, height - 1.5 - (value / most) * (height - 4)]);
    let stroke = '';
    let fill = '';
    let begun = null;
    points.forEach(([x, y], at) => {
      const isThere = Number.isFinite(y);
      if (isThere) {
        stroke += `${begun === null ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
        fill += `${begun === null ? `M${x.toFixed(1)} ${height}L` : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`;
        if (begun === null) begun = at;
      }
      if (begun !== null && (!isThere || at === points.length - 1)) {
        const end = points[isThere ? at : at - 1][0].toFixed(1);
        // A figure that stands alone is a short dash.
        if (begun === (isThere ? at : at - 1)) stroke += 'h1.2';
        fill += `L${end} ${height}Z`;
        begun = null;
      }
    });
    line.setAttribute('d', stroke);
    area.setAttribute('d', fill);
  };
  return { element, draw };
}

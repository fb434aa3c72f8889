// What happened in the last minute: figures from one look to the next, and small plots of them.

const LOOKS = 60;

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
    const answered = this.last.count - before.count;
    // Fewer than before: another router, or another mount of that name. What was before is not its past.
    if (asked < 0 || answered < 0) return Object.assign(this, { rates: [], latencies: [] });
    keep(this.rates, seconds > 0 ? asked / seconds : NaN);
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

/** A small plot; what is not known between two figures is a straight line. `words`: how the highest figure is told, if it is. */
function plot(label, width = 96, height = 28, words) {
  const line = svg('path', { class: 'plot-line' });
  const area = svg('path', { class: 'plot-area' });
  const base = svg('path', { class: 'plot-base', d: `M0 ${height - 0.5}H${width}` });
  const picture = svg('svg', { class: 'plot', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label, preserveAspectRatio: 'none' }, base, area, line);
  const scale = words && h('span', { class: 'plot-most', title: 'The highest of the last minute' });
  const draw = values => {
    const most = Math.max(...values.filter(Number.isFinite), 0) || 1;
    const across = at => (((LOOKS - values.length + at) / (LOOKS - 1)) * width).toFixed(1);
    const points = values.map((value, at) => [across(at), (height - 1.5 - (value / most) * (height - 4)).toFixed(1), value]);
    const known = points.filter(([, , value]) => Number.isFinite(value)).map(([x, y]) => `${x} ${y}`);
    const [first, last] = [known[0]?.split(' ')[0], known.at(-1)?.split(' ')[0]];
    // A figure that stands alone is a dot.
    line.setAttribute('d', known.length ? `M${known.join('L')}${known.length === 1 ? 'h.01' : ''}` : '');
    area.setAttribute('d', known.length > 1 ? `M${first} ${height}L${known.join('L')}L${last} ${height}Z` : '');
    line.classList.toggle('is-dot', known.length === 1);
    if (scale) say(scale, values.some(value => value > 0) ? `max ${words(most)}` : '');
  };
  return { element: scale ? h('span', { class: 'plot-box' }, scale, picture) : picture, draw };
}

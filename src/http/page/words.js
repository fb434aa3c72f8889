// Figures and states in words.

/** What each state looks like (never by its colour alone), and what it means. */
const STATES = {
  ready: ['ok', 'It works.'],
  idle: ['calm', 'It works, and runs when it is called.'],
  starting: ['busy', 'It has not answered yet.'],
  failing: ['warn', 'The last attempts failed; it is tried again.'],
  failed: ['bad', 'It does not work.'],
  disabled: ['off', 'The configuration has switched it off.'],
};

const SHAPES = {
  ok: () => [svg('circle', { cx: 8, cy: 8, r: 6, class: 'fill' }), svg('path', { d: 'M5.2 8.2l2 2 3.8-4', class: 'mark' })],
  calm: () => [svg('circle', { cx: 8, cy: 8, r: 5.2, class: 'line' })],
  busy: () => [svg('circle', { cx: 8, cy: 8, r: 5.2, class: 'line dashed' }), svg('circle', { cx: 8, cy: 8, r: 1.8, class: 'fill' })],
  warn: () => [svg('path', { d: 'M8 1.8l6.6 12H1.4z', class: 'fill' }), svg('path', { d: 'M8 6v3.6m0 1.9v.2', class: 'mark' })],
  bad: () => [svg('rect', { x: 2, y: 2, width: 12, height: 12, rx: 2.5, class: 'fill' }), svg('path', { d: 'M5.5 5.5l5 5m0-5l-5 5', class: 'mark' })],
  off: () => [svg('path', { d: 'M3 8h10', class: 'line' })],
};

/** A state as shape and word. */
function badge() {
  const element = h('span', { class: 'state' });
  let last;
  const set = state => {
    if (state === last) return;
    last = state;
    const [kind, meaning] = STATES[state] ?? ['off', ''];
    const shape = svg('svg', { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' }, ...SHAPES[kind]());
    element.className = `state is-${kind}`;
    element.title = meaning;
    element.replaceChildren(shape, h('span', null, state ?? 'unknown'));
  };
  return { element, set };
}

const whole = new Intl.NumberFormat('en');
const number = value => (Number.isFinite(value) ? whole.format(value) : '–');
const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

function rate(value) {
  if (!Number.isFinite(value)) return '–';
  return value === 0 ? '0' : value < 10 ? value.toFixed(1) : number(Math.round(value));
}

/** A time in seconds. */
function lasting(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.01) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1e3)} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}

function uptime(seconds) {
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor((seconds % 86400) / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(seconds)} s`;
}

function bytes(count) {
  if (!Number.isFinite(count)) return '–';
  if (count < 1024) return `${count} B`;
  return count < 1 << 20 ? `${(count / 1024).toFixed(1)} KiB` : `${(count / (1 << 20)).toFixed(1)} MiB`;
}

/** The time of day of an RFC 3339 time, with its date if that is not today; the text itself where it is none. */
function clock(at, withMillis = false) {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return String(at ?? '');
  const two = value => String(value).padStart(2, '0');
  const isToday = time.toDateString() === new Date().toDateString();
  const day = isToday ? '' : `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} `;
  const millis = withMillis ? `.${String(time.getMilliseconds()).padStart(3, '0')}` : '';
  return `${day}${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}${millis}`;
}

/** An element that shows a time as `clock` does; `redate` keeps it true. */
const timeOf = (at, withMillis = false) => h('time', { datetime: at, title: at, 'data-millis': withMillis }, clock(at, withMillis));

/** What was today is yesterday after midnight. */
function redate(element) {
  for (const time of element.querySelectorAll('time')) say(time, clock(time.dateTime, 'millis' in time.dataset));
}

/** Why the router does not answer, as far as a page can know. */
function unanswered(error) {
  return error?.name === 'TimeoutError' ? 'No answer: it is busy, or too many tabs are open' : 'No answer';
}

/**
 * Text with what would turn its letters around unseen as a mark that is seen (UAX #9: embeddings, overrides, isolates).
 * What is no text stays what it is.
 */
function visible(text) {
  if (typeof text !== 'string') return text;
  return text.replace(/[\u202A-\u202E\u2066-\u2069]/g, sign => `[U+${sign.charCodeAt(0).toString(16).toUpperCase()}]`);
}

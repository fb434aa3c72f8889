// What operators may watch: recent events, and the messages of a mount's sessions.

const MOST_EVENTS = 200;
const MOST_MESSAGES = 500;
const MOST_BYTES = 8 << 20;

/** So long a page that nobody sees watches the traffic. */
const WATCHED_HIDDEN = 60_000;

/** So often it is asked whether what was today is still today. */
const REDATED = 60_000;

/** Recent events; a quiet sentence where there are none to be had. */
function eventsPanel() {
  const list = h('ol', { class: 'events', 'data-events': '' });
  const note = h('p', { class: 'quiet-text' }, 'Nothing has happened yet.');
  const element = h('section', { class: 'card', 'aria-labelledby': 'events-title' }, h('div', { class: 'section-head' }, h('h2', { id: 'events-title' }, 'Recent events')), note, list);
  const feed = new Feed('admin/events', {
    // After a break the last events come again.
    onopen: () => list.replaceChildren(),
    restsAfter: 0,
    onitem: ({ at, server, kind, text }) => {
      show(note, false);
      const kindText = String(kind ?? '');
      const line = h('li', { class: `event is-${tone(kindText)}` }, timeOf(at), h('span', { class: 'event-kind' }, kindText), server ? h('a', { href: address('server', String(server)) }, String(server)) : h('span', null, 'router'), h('span', { class: 'event-text' }, String(text ?? '')));
      list.prepend(line);
      while (list.childElementCount > MOST_EVENTS) list.lastElementChild.remove();
    },
    ontrouble: status => {
      if (list.childElementCount) return;
      show(note, true);
      const words = status === 404 ? ['This router keeps no record of events.'] : isRefusal(status) ? refused('Events') : ['Events cannot be had right now.'];
      note.replaceChildren(...words);
    },
  });
  const dates = setInterval(() => redate(list), REDATED);
  return { element, stop: () => (feed.stop(), clearInterval(dates)) };
}

const isRefusal = status => status === 401 || status === 403;

/** What somebody is told who is no operator, and a way to become one. */
const refused = what => [`${what} are shown to operators only. `, h('button', { type: 'button', class: 'small', onclick: () => lock('', false) }, 'I have a key')];

function tone(kind) {
  if (/^(crashed|failed)$/.test(kind)) return 'bad';
  if (/^(failing|refused|restarted)$/.test(kind)) return 'warn';
  return /^ready$/.test(kind) ? 'ok' : 'calm';
}

const NO_MESSAGE = 'No message yet. They appear here as soon as a client calls.';

/** Every message of a mount's sessions, both ways. */
function trafficPanel(name) {
  const all = [];
  let [held, waiting, paused] = [0, 0, false];
  const words = h('input', { type: 'search', placeholder: 'Filter messages', 'aria-label': 'Filter messages', 'data-filter': '', oninput: redraw });
  const from = pick('Direction', { '': 'Both directions', client: 'From the client', server: 'From the server' });
  const kind = pick('Kind', { '': 'Every kind', request: 'Requests', notification: 'Notifications', response: 'Responses' });
  const session = pick('Session', { '': 'Every session' });
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: toggle }, 'Pause');
  const clear = h('button', { type: 'button', onclick: empty }, 'Clear');
  const copy = copyButton(() => shown().map(item => JSON.stringify(item)).join('\n'), 'Copy shown');
  const count = h('span', { class: 'quiet-text', role: 'status' });
  const list = h('ol', { class: 'traffic', 'data-traffic': '', tabindex: 0, 'aria-label': 'Messages, the newest last' });
  const note = h('p', { class: 'empty' }, NO_MESSAGE);
  const unmatched = h('p', { class: 'empty', hidden: true }, 'Nothing matches.');
  const tools = h('div', { class: 'tools-row' }, words, from, kind, session, pause, clear, copy, count);
  const element = h('div', { class: 'traffic-panel' }, tools, note, unmatched, list);

  function pick(label, entries) {
    return h('select', { 'aria-label': label, onchange: redraw }, Object.entries(entries).map(([value, text]) => h('option', { value }, text)));
  }

  const messages = () => all.filter(({ gap }) => !gap);
  const shown = () => messages().filter(passes);

  function passes(item) {
    if (item.gap) return true;
    const wanted = words.value.toLowerCase();
    return (!from.value || item.from === from.value) && (!kind.value || item.kind === kind.value) && (!session.value || item.session === session.value) && (!wanted || item.text.includes(wanted));
  }

  function take(item) {
    const message = typeof item.message === 'string' ? item.message : JSON.stringify(item.message ?? null);
    const kept = { ...item, message };
    // Not written out when it is copied: what is searched in.
    Object.defineProperty(kept, 'text', { value: `${item.method ?? ''} ${message}`.toLowerCase() });
    hold(kept);
    if (item.session && ![...session.options].some(option => option.value === item.session)) {
      session.append(h('option', { value: item.session }, `Session ${item.session}`));
      if (session.options.length > 50) session.options[1].remove();
    }
    if (paused) waiting += 1;
    tell();
  }

  /** Where nobody watched is said: what was not seen is not taken for what was not sent. */
  function opened(since) {
    say(note, NO_MESSAGE);
    if (since && messages().length) hold({ gap: { since, until: new Date() }, message: '' });
    tell();
  }

  function hold(item) {
    all.push(item);
    held += item.message.length;
    while (all.length > MOST_MESSAGES || (held > MOST_BYTES && all.length > 1)) forget();
    if (!paused && passes(item)) append(item);
  }

  function forget() {
    const gone = all.shift();
    held -= gone.message.length;
    if (!paused && list.firstElementChild?.item === gone) list.firstElementChild.remove();
  }

  function append(item) {
    const follows = list.scrollTop + list.clientHeight >= list.scrollHeight - 24;
    list.append(row(item));
    if (follows) list.scrollTop = list.scrollHeight;
  }

  function redraw() {
    list.replaceChildren(...all.filter(passes).map(row));
    list.scrollTop = list.scrollHeight;
    tell();
  }

  function toggle() {
    paused = !paused;
    pause.setAttribute('aria-pressed', paused);
    say(pause, paused ? 'Go on' : 'Pause');
    waiting = 0;
    if (!paused) redraw();
    tell();
  }

  function empty() {
    all.length = 0;
    [held, waiting] = [0, 0];
    redraw();
  }

  function tell() {
    const [most, found] = [messages().length, list.querySelectorAll('.message-head').length];
    show(note, !most);
    show(unmatched, most > 0 && !found);
    show(list, found > 0);
    say(count, paused && waiting ? `${plural(waiting, 'new message')}` : most ? `${number(found)} of ${plural(most, 'message')}` : '');
  }

  const feed = new Feed(`admin/traffic?server=${encodeURIComponent(name)}`, {
    restsAfter: WATCHED_HIDDEN,
    onopen: opened,
    onitem: take,
    ontrouble: (status, why) => {
      show(note, !messages().length);
      show(tools, status !== 409 && status !== 404 && !isRefusal(status));
      note.replaceChildren(...trouble(status, why));
    },
  });
  const dates = setInterval(() => redate(list), REDATED);
  tell();
  return { element, stop: () => (feed.stop(), clearInterval(dates)), filter: words };
}

function trouble(status, why) {
  if (status === 409) {
    return [h('strong', null, 'The traffic view is off. '), 'It shows what clients and servers say to each other, so it has to be wanted: start the router with ', h('code', null, '--traffic'), ', or put ', h('code', null, '"traffic": true'), ' into its file.'];
  }
  if (status === 404) return ['This router has no traffic view.'];
  if (isRefusal(status)) return refused('Messages');
  return [`Messages cannot be had right now: ${why}`];
}

/** A message on one line; it opens to all of it. */
function row(item) {
  const element = item.gap ? gapRow(item.gap) : messageRow(item);
  element.item = item;
  return element;
}

function gapRow({ since, until }) {
  return h('li', { class: 'gap' }, 'Not watched from ', timeOf(since.toISOString()), ' to ', timeOf(until.toISOString()));
}

function messageRow(item) {
  const body = h('div', { class: 'message-body', hidden: true });
  const arrow = item.from === 'client' ? '→' : '←';
  const way = item.from === 'client' ? 'from the client' : 'from the server';
  const head = h(
    'button',
    { type: 'button', class: 'message-head', 'aria-expanded': 'false', onclick: open },
    timeOf(item.at, true),
    h('span', { class: `way is-${item.from === 'client' ? 'client' : 'server'}`, title: way }, h('span', { 'aria-hidden': 'true' }, arrow), h('span', { class: 'unseen' }, way)),
    h('span', { class: 'kind' }, String(item.kind ?? '')),
    h('span', { class: 'method' }, String(item.method ?? '')),
    h('span', { class: 'preview' }, item.message.slice(0, 200)),
    h('span', { class: 'size' }, bytes(item.bytes)),
    h('span', { class: 'session', title: 'Session' }, String(item.session ?? '')),
  );
  function open() {
    const isOpen = body.hidden;
    head.setAttribute('aria-expanded', isOpen);
    if (isOpen && !body.childElementCount) {
      const cut = item.cut ? [h('p', { class: 'quiet-text' }, `Only the first ${bytes(item.message.length)} of ${bytes(item.bytes)} are kept.`)] : [];
      body.append(...cut, textBlock(indented(item.message), { isCode: true }));
    }
    body.hidden = !isOpen;
    if (isOpen) body.scrollIntoView({ block: 'nearest' });
  }
  return h('li', null, head, body);
}

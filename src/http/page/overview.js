// All mounts at a glance.

const COLUMNS = ['Server', 'State', 'Era', 'Sessions', 'In flight', 'Processes', 'Requests/s', 'Latency', 'Restarts'];

/** Where a mount's own page is. */
const address = (kind, name) => (kind === 'all' ? '#/all' : `#/${kind}/${encodeURIComponent(name)}`);

/** The page of all mounts; `update(status, courses)` shows what is true now. */
function overview() {
  const figures = summary();
  const filter = h('input', { type: 'search', placeholder: 'Filter', 'aria-label': 'Filter servers', 'data-filter': '', oninput: () => sieve() });
  const servers = mountTable('Servers');
  const together = mountTable('Served together');
  const nothing = h('p', { class: 'empty' }, 'There is nothing here to show.');
  const unmatched = h('p', { class: 'empty', hidden: true }, 'No server matches.');
  const head = h('div', { class: 'section-head' }, h('h2', { id: servers.id }, 'Servers'), filter);
  const serversCard = h('section', { class: 'card', 'aria-labelledby': servers.id }, head, servers.element, nothing, unmatched);
  const togetherCard = h('section', { class: 'card', 'aria-labelledby': together.id, hidden: true }, h('div', { class: 'section-head' }, h('h2', { id: together.id }, 'Served together')), together.element);
  const events = eventsPanel();
  const configuration = h('p', { class: 'warning', role: 'alert', hidden: true });
  const restart = h('p', { class: 'notice', role: 'status', hidden: true });
  const element = h('div', { class: 'page' }, h('h1', { class: 'unseen' }, 'Status'), configuration, restart, figures.element, serversCard, togetherCard, events.element);

  function sieve() {
    const found = servers.sieve(filter.value.trim().toLowerCase());
    show(unmatched, !found && servers.size() > 0);
  }

  function update(status, courses) {
    const mounts = Object.entries(status.servers ?? {});
    servers.update(mounts.map(([name, mount]) => ({ kind: 'server', name, mount, course: courses.of('server', name) })));
    const others = Object.entries(status.views ?? {}).map(([name, mount]) => ({ kind: 'view', name, mount, course: courses.of('view', name) }));
    if (status.aggregate) others.unshift({ kind: 'all', name: 'all', label: 'all servers', mount: status.aggregate, course: courses.of('all', 'all') });
    together.update(others);
    show(togetherCard, others.length > 0);
    show(nothing, !mounts.length);
    say(nothing, key.get() === null || others.length ? 'There is nothing here to show.' : 'This key may use no server.');
    show(servers.element, mounts.length > 0);
    const isMeasured = mounts.some(([, { latency }]) => latency);
    element.classList.toggle('is-unmeasured', !isMeasured);
    figures.update(status, mounts.map(([, mount]) => mount), courses.total);
    const error = status.config?.error;
    show(configuration, Boolean(error));
    say(configuration, error ? `The configuration cannot be used, so the one before stays: ${error}` : '');
    const keys = status.config?.needs_restart ?? [];
    show(restart, keys.length > 0);
    say(restart, keys.length ? `The file has changed in what is used from the next start on: ${keys.join(', ')}` : '');
    sieve();
  }

  return { element, update, filter, stop: events.stop, title: 'mcp-switchboard' };
}

function summary() {
  const cells = {};
  const cell = (name, label, drawn) => {
    cells[name] = { value: h('span', { class: 'figure' }), note: h('span'), alarm: h('span', { class: 'alarm' }), plot: drawn && plot(label, 160, 36, drawn) };
    return h('div', { class: 'figure-cell', 'data-figure': name }, h('span', { class: 'figure-label' }, label), h('span', { class: 'figure-row' }, cells[name].value, cells[name].plot?.element), h('span', { class: 'figure-note' }, cells[name].note, cells[name].alarm));
  };
  const element = h('section', { class: 'figures', 'aria-label': 'In figures' }, cell('servers', 'Servers'), cell('sessions', 'Sessions'), cell('flight', 'In flight'), cell('rate', 'Requests per second', rate), cell('latency', 'Mean latency', lasting));
  const update = (status, mounts, total) => {
    const count = states => mounts.filter(({ state }) => states.includes(state)).length;
    const [well, ill] = [count(['ready', 'idle']), count(['failing', 'failed'])];
    say(cells.servers.value, number(mounts.length));
    say(cells.servers.note, [well && `${well} well`, count(['starting']) && `${count(['starting'])} starting`, count(['disabled']) && `${count(['disabled'])} off`].filter(Boolean).join(', '));
    say(cells.servers.alarm, ill ? `${ill} not well` : '');
    const add = key => mounts.reduce((sum, mount) => sum + (mount[key] ?? 0), 0);
    say(cells.sessions.value, number(add('sessions')));
    say(cells.sessions.note, plural(mounts.reduce((sum, { pids }) => sum + (pids?.length ?? 0), 0), 'process', 'processes'));
    say(cells.flight.value, number(add('in_flight')));
    say(cells.flight.note, plural(add('requests'), 'request so far', 'requests so far'));
    say(cells.rate.value, rate(total.rate));
    say(cells.rate.note, plural(add('errors'), 'error so far', 'errors so far'));
    say(cells.latency.value, lasting(total.latency));
    say(cells.latency.note, 'of what was answered');
    cells.rate.plot.draw(total.rates);
    cells.latency.plot.draw(total.latencies);
  };
  return { element, update };
}

function mountTable(caption) {
  const rows = new Map();
  const head = h('thead', null, h('tr', null, COLUMNS.map((name, at) => h('th', { scope: 'col', class: `${at > 2 ? 'is-number' : ''} ${name === 'Latency' ? 'is-latency' : ''}` }, name))));
  const element = h('table', { class: 'mounts' }, h('caption', { class: 'unseen' }, caption), head);
  const update = mounts => {
    const names = new Set(mounts.map(({ name }) => name));
    for (const [name, { body }] of rows) if (!names.has(name) && (body.remove(), true)) rows.delete(name);
    let before = head;
    for (const each of mounts) {
      if (!rows.has(each.name)) rows.set(each.name, mountRow(each));
      const { body, set } = rows.get(each.name);
      if (before.nextElementSibling !== body) before.after(body);
      before = body;
      set(each);
    }
  };
  const sieve = words => {
    let found = 0;
    for (const { body, text } of rows.values()) {
      const is = words.split(/\s+/).every(word => text().includes(word));
      show(body, is);
      found += is;
    }
    return found;
  };
  return { id: freshId(), element, update, sieve, size: () => rows.size };
}

function mountRow({ kind, name, label }) {
  const info = h('span', { class: 'sub' });
  const state = badge();
  const [era, version] = [h('span'), h('span', { class: 'sub' })];
  const [sessions, flight, processes, restarts] = [h('span'), h('span'), h('span'), h('span')];
  const pids = h('span', { class: 'sub pids' });
  const [perSecond, latency] = [h('span'), h('span')];
  const [ratePlot, latencyPlot] = [plot(`Requests per second of ${name}`), plot(`Latency of ${name}`)];
  const error = h('td', { colspan: COLUMNS.length });
  const note = h('tr', { class: 'note', hidden: true }, error);
  const cell = (label, type, ...parts) => h('td', { class: type, 'data-label': label }, ...parts);
  const body = h(
    'tbody',
    { 'data-mount': name },
    h(
      'tr',
      null,
      h('th', { scope: 'row' }, h('a', { href: address(kind, name) }, label ?? name), info),
      cell('State', 'state-cell', state.element),
      cell('Era', 'era-cell', era, version),
      cell('Sessions', 'is-number', sessions),
      cell('In flight', 'is-number', flight),
      cell('Processes', 'is-number', processes, pids),
      cell('Requests/s', 'is-number is-plot', ratePlot.element, perSecond),
      cell('Latency', 'is-number is-plot is-latency', latencyPlot.element, latency),
      cell('Restarts', 'is-number', restarts),
    ),
    note,
  );
  // The whole row leads where its link does, for those who point.
  body.addEventListener('click', event => {
    if (!event.target.closest('a, button') && !getSelection().toString()) location.hash = address(kind, name);
  });
  let last;
  const set = ({ mount, course }) => {
    const changed = last && (last.state !== mount.state || last.restarts !== mount.restarts || last.last_exit !== mount.last_exit);
    if (last && last.state !== mount.state) announce(`${label ?? name} is ${mount.state}`);
    if (changed) flash(body);
    last = mount;
    say(info, [mount.server_info?.title ?? mount.server_info?.name, mount.server_info?.version].filter(Boolean).join(' '));
    info.title = info.textContent;
    state.set(mount.state);
    say(era, mount.era ?? '–');
    era.parentElement.classList.toggle('is-none', !mount.era);
    say(version, mount.protocol_version);
    say(sessions, number(mount.sessions));
    say(flight, number(mount.in_flight));
    // What serves several together has no processes of its own.
    say(processes, kind === 'server' ? number(mount.pids?.length) : '–');
    say(pids, shortened(mount.pids ?? []));
    pids.title = mount.pids?.join(', ') ?? '';
    say(perSecond, rate(course.rate));
    say(latency, lasting(course.latency));
    ratePlot.draw(course.rates);
    latencyPlot.draw(course.latencies);
    say(restarts, kind === 'server' ? number(mount.restarts) : '–');
    restarts.classList.toggle('is-some', mount.restarts > 0);
    const held = mount.held_back?.length ? `${plural(mount.held_back.length, 'tool')} held back until approved: ${mount.held_back.join(', ')}` : '';
    const exit = mount.last_exit && !mount.error?.includes(mount.last_exit) ? `last exit: ${mount.last_exit}` : '';
    say(error, [mount.error, held, exit].filter(Boolean).join(' · '));
    show(note, Boolean(error.textContent));
    note.className = `note ${mount.state === 'failed' ? 'is-bad' : mount.error || held ? 'is-warn' : ''}`;
  };
  const text = () => [label ?? name, last?.state, last?.era, last?.error, info.textContent].join(' ').toLowerCase();
  return { body, set, text };
}

const shortened = pids => (pids.length > 2 ? `${pids.slice(0, 2).join(', ')} + ${pids.length - 2}` : pids.join(', '));

function flash(element) {
  element.classList.remove('is-new');
  // Asking for its size begins the animation again.
  void element.offsetWidth;
  element.classList.add('is-new');
}

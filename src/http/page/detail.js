// One mount: what it is, what it offers, and a way to try it.

/** Why a mount is not asked at once. */
const WHY_NOT = {
  disabled: 'It is switched off.',
  failed: 'It does not work now. Connecting tries it again.',
  failing: 'It does not work now. Connecting tries it again.',
};

/** What has to be done before it can be asked. */
const WHY_STARTED = {
  one: 'It does not run now. To see what it offers, it has to be started.',
  several: 'To see what they offer, each of them is asked. Connecting starts the servers that do not run, and tries those again that have failed.',
};

/** The page of a mount. `find(status)`: what `/status` says of it. */
function detail({ kind, name, label }, find) {
  const state = badge();
  const info = h('p', { class: 'lead' });
  const error = h('p', { class: 'warning', role: 'alert', hidden: true });
  const gone = h('p', { class: 'empty', hidden: true }, 'There is no such server, or it is not shown to you.');
  const facts = factSheet(kind === 'server');
  const connect = h('button', { type: 'button', class: 'primary', onclick: () => open() }, 'Connect');
  const trouble = h('p', { class: 'empty' });
  const idle = h('div', { class: 'empty-box', hidden: true }, trouble, connect);
  const panels = Object.fromEntries(Object.keys(OFFERS).map(offer => [offer, h('div', { class: 'panel' })]));
  const traffic = h('div', { class: 'panel' });
  const entries = Object.entries(OFFERS).map(([offer, { label: title }]) => ({ name: offer, label: title, panel: panels[offer] }));
  if (kind === 'server') entries.push({ name: 'traffic', label: 'Traffic', panel: traffic });
  const chooser = tabs('What it offers', entries, changed);
  const body = h('section', { class: 'card' }, chooser.list, idle, ...entries.map(({ panel }) => panel));
  const element = h('div', { class: 'page' }, h('p', null, h('a', { href: '#/', class: 'back' }, '← All servers')), h('div', { class: 'title-row' }, h('h1', { tabindex: -1 }, label ?? name), state.element), info, error, gone, facts.element, body);
  const panes = {};
  let [client, feed, current, tab, isRefused] = [undefined, undefined, undefined, 'tools', false];

  function changed(next) {
    tab = next;
    show(idle, tab !== 'traffic' && !client?.server);
    if (tab === 'traffic' && !feed) {
      feed = trafficPanel(name);
      traffic.append(feed.element);
    }
  }

  async function open() {
    if (client) return;
    const mine = (client = new Client(addresses(current)[0].below, { elicit: (params, signal) => elicit(label ?? name, params, signal), onchange: offer => panes[offer]?.load() }));
    connect.disabled = true;
    say(trouble, 'Connecting…');
    show(idle, tab !== 'traffic');
    try {
      const server = await mine.open();
      if (mine.closed) return;
      show(idle, false);
      for (const [offer, what] of Object.entries(OFFERS)) {
        if (server.capabilities?.[offer]) panes[offer] = offerPanel(mine, offer, what, panels[offer]);
        else panels[offer].replaceChildren(h('p', { class: 'empty' }, `It offers no ${offer}.`));
      }
      await Promise.all(Object.values(panes).map(({ load }) => load()));
    } catch (failure) {
      if (mine.closed) return;
      mine.close();
      // Not asked again by itself: whoever looks decides.
      [client, isRefused] = [undefined, true];
      say(trouble, `It could not be asked: ${failure.message}`);
    } finally {
      connect.disabled = false;
    }
  }

  function update(status, courses) {
    current = find(status);
    show(gone, !current);
    show(body, Boolean(current));
    show(facts.element, Boolean(current));
    show(state.element, Boolean(current));
    if (!current) return leave();
    state.set(current.state);
    say(info, [current.server_info?.title ?? current.server_info?.name, current.server_info?.version].filter(Boolean).join(' '));
    show(info, Boolean(info.textContent));
    say(error, current.error);
    show(error, Boolean(current.error));
    facts.update(current, courses.of(kind, name));
    if (client || isRefused) return;
    // A server that runs is asked at once; nothing is started only because somebody looks. What serves several together is
    // always ready, and asks each of them.
    if (current.state === 'ready' && kind === 'server') open();
    else show(idle, tab !== 'traffic');
    if (!client) say(trouble, WHY_NOT[current.state] ?? WHY_STARTED[kind === 'server' ? 'one' : 'several']);
    show(connect, current.state !== 'disabled');
  }

  /** It is no longer there: what was said of it is not true any more. */
  function leave() {
    show(info, false);
    show(error, false);
    client?.close();
    [client, isRefused] = [undefined, false];
    for (const offer of Object.keys(OFFERS)) {
      delete panes[offer];
      panels[offer].replaceChildren();
    }
  }

  chooser.choose('tools');
  const stop = () => (client?.close(), feed?.stop());
  const isBusy = () => Object.values(panes).some(pane => pane.isBusy());
  return { element, update, stop, isBusy, title: `${label ?? name} · mcp-switchboard`, get filter() { return body.querySelector('[role=tabpanel]:not([hidden]) [data-filter]'); } };
}

/** What is told of a mount; `ofServer`: what only a server has that runs by itself. */
const FACTS = {
  era: { label: 'Era', say: mount => mount.era ?? '–' },
  version: { label: 'Revision', ofServer: true, say: mount => mount.protocol_version ?? '–' },
  sessions: { label: 'Sessions', say: mount => number(mount.sessions) },
  flight: { label: 'In flight', say: mount => number(mount.in_flight) },
  pids: { label: 'Processes', ofServer: true, say: mount => (mount.pids?.length ? mount.pids.join(', ') : 'none') },
  requests: { label: 'Requests', say: mount => number(mount.requests) },
  errors: { label: 'Errors', say: mount => number(mount.errors) },
  refused: { label: 'Refused', say: mount => number(mount.refused) },
  restarts: { label: 'Restarts', ofServer: true, say: mount => number(mount.restarts) },
  exit: { label: 'Last exit', ofServer: true, say: mount => mount.last_exit ?? '–' },
  verified: { label: 'Last handshake', ofServer: true, say: mount => (mount.verified_at ? clock(mount.verified_at) : '–') },
  sandbox: { label: 'Sandbox', ofServer: true, say: mount => (mount.sandbox ? 'yes' : 'no') },
  held: { label: 'Held back', ofServer: true, say: mount => (mount.held_back?.length ? mount.held_back.join(', ') : 'nothing') },
};

/** `isServer`: it has processes of its own. */
function factSheet(isServer) {
  const urls = h('dd', { class: 'urls' });
  const cells = {};
  const fact = (key, label) => h('div', { class: `is-${key}` }, h('dt', null, label), (cells[key] = h('dd', { 'data-fact': key })));
  const [ratePlot, latencyPlot] = [plot('Requests per second', 320, 56, rate), plot('Mean latency', 320, 56, lasting)];
  const [perSecond, latency] = [h('span', { class: 'figure' }), h('span', { class: 'figure' })];
  const element = h(
    'section',
    { class: 'card facts', 'aria-label': 'Facts' },
    h('div', { class: 'plots' }, h('div', null, h('span', { class: 'figure-label' }, 'Requests per second'), perSecond, ratePlot.element), h('div', { class: 'is-latency' }, h('span', { class: 'figure-label' }, 'Mean latency'), latency, latencyPlot.element)),
    h('dl', { class: 'fact-list' }, Object.entries(FACTS).filter(([, { ofServer }]) => isServer || !ofServer).map(([key, { label }]) => fact(key, label))),
    h('dl', { class: 'url-list' }, h('dt', null, 'URLs'), urls),
  );
  let shown;
  const update = (mount, course) => {
    element.classList.toggle('is-unmeasured', !mount.latency);
    for (const [key, cell] of Object.entries(cells)) say(cell, FACTS[key].say(mount));
    say(perSecond, rate(course.rate));
    say(latency, lasting(course.latency));
    ratePlot.draw(course.rates);
    latencyPlot.draw(course.latencies);
    const next = addresses(mount).map(({ url }) => url);
    if (next.join() === shown) return;
    shown = next.join();
    urls.replaceChildren(...next.map(url => h('div', null, h('code', null, url), copyButton(() => url))));
  };
  return { element, update };
}

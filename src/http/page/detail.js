// One mount: what it is, what it offers, and a way to try it.

/** What a mount offers, by the tab that shows it. */
const OFFERS = {
  tools: {
    label: 'Tools',
    capability: 'tools',
    lists: [['tools/list', 'tools']],
    request: tool => ({ schema: tool.inputSchema ?? {}, verb: 'Call', make: value => ({ method: 'tools/call', params: { name: tool.name, arguments: value } }), render: toolResult }),
    schemas: tool => [['Input schema', tool.inputSchema], ['Output schema', tool.outputSchema]],
  },
  prompts: {
    label: 'Prompts',
    capability: 'prompts',
    lists: [['prompts/list', 'prompts']],
    request: prompt => ({ schema: promptSchema(prompt), verb: 'Get', make: value => ({ method: 'prompts/get', params: { name: prompt.name, arguments: value } }), render: promptResult }),
    schemas: () => [],
  },
  resources: {
    label: 'Resources',
    capability: 'resources',
    lists: [['resources/list', 'resources'], ['resources/templates/list', 'resourceTemplates']],
    request: resource => ({ schema: uriSchema(resource), verb: 'Read', make: value => ({ method: 'resources/read', params: { uri: value.uri ?? resource.uri } }), render: resourceResult }),
    schemas: () => [],
  },
};

/** Why a mount is not asked at once. */
const WHY_NOT = {
  disabled: 'It is switched off.',
  failed: 'It does not work now. Connecting tries it again.',
  failing: 'It does not work now. Connecting tries it again.',
};

function promptSchema(prompt) {
  const named = Array.isArray(prompt.arguments) ? prompt.arguments : [];
  const properties = Object.fromEntries(named.map(({ name, title, description }) => [String(name), { type: 'string', title, description }]));
  return { type: 'object', properties, required: named.filter(({ required }) => required).map(({ name }) => name), additionalProperties: false };
}

function uriSchema(resource) {
  if (resource.uriTemplate === undefined) return { type: 'object', properties: {}, additionalProperties: false };
  const uri = { type: 'string', description: 'The template with its variables filled in', default: String(resource.uriTemplate) };
  return { type: 'object', properties: { uri }, required: ['uri'] };
}

/** The page of a mount. `find(status)`: what `/status` says of it. */
function detail({ kind, name, label }, find) {
  const state = badge();
  const info = h('p', { class: 'lead' });
  const error = h('p', { class: 'warning', role: 'alert', hidden: true });
  const gone = h('p', { class: 'empty', hidden: true }, 'There is no such server, or it is not shown to you.');
  const facts = factSheet();
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
    const mine = (client = new Client(addresses(current)[0].below, { elicit: (params, signal) => elicit(label ?? name, params, signal) }));
    connect.disabled = true;
    say(trouble, 'Connecting…');
    show(idle, tab !== 'traffic');
    try {
      const server = await mine.open();
      if (mine.closed) return;
      show(idle, false);
      await Promise.all(Object.entries(OFFERS).map(([offer, what]) => offerPanel(mine, offer, what, panels[offer], Boolean(server.capabilities?.[what.capability]))));
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
    if (!current) return;
    state.set(current.state);
    say(info, [current.server_info?.title ?? current.server_info?.name, current.server_info?.version].filter(Boolean).join(' '));
    show(info, Boolean(info.textContent));
    say(error, current.error);
    show(error, Boolean(current.error));
    facts.update(current, courses.of(kind, name));
    if (client || isRefused) return;
    // What runs already is asked at once; nothing is started only because somebody looks.
    if (current.state === 'ready') open();
    else show(idle, tab !== 'traffic');
    if (!client) say(trouble, WHY_NOT[current.state] ?? 'It does not run now. To see what it offers, it has to be started.');
    show(connect, current.state !== 'disabled');
  }

  chooser.choose('tools');
  const stop = () => (client?.close(), feed?.stop());
  return { element, update, stop, title: `${label ?? name} · mcp-switchboard`, get filter() { return body.querySelector('[role=tabpanel]:not([hidden]) [data-filter]'); } };
}

function factSheet() {
  const urls = h('dd', { class: 'urls' });
  const cells = {};
  const fact = (key, label) => h('div', { class: `is-${key}` }, h('dt', null, label), (cells[key] = h('dd', { 'data-fact': key })));
  const [ratePlot, latencyPlot] = [plot('Requests per second', 320, 56, rate), plot('Mean latency', 320, 56, lasting)];
  const [perSecond, latency] = [h('span', { class: 'figure' }), h('span', { class: 'figure' })];
  const element = h(
    'section',
    { class: 'card facts', 'aria-label': 'Facts' },
    h('div', { class: 'plots' }, h('div', null, h('span', { class: 'figure-label' }, 'Requests per second'), perSecond, ratePlot.element), h('div', { class: 'is-latency' }, h('span', { class: 'figure-label' }, 'Mean latency'), latency, latencyPlot.element)),
    h('dl', { class: 'fact-list' }, fact('era', 'Era'), fact('version', 'Revision'), fact('sessions', 'Sessions'), fact('flight', 'In flight'), fact('pids', 'Processes'), fact('requests', 'Requests'), fact('errors', 'Errors'), fact('refused', 'Refused'), fact('restarts', 'Restarts'), fact('exit', 'Last exit'), fact('verified', 'Last handshake'), fact('sandbox', 'Sandbox'), fact('held', 'Held back')),
    h('dl', { class: 'url-list' }, h('dt', null, 'URLs'), urls),
  );
  let shown;
  const update = (mount, course) => {
    element.classList.toggle('is-unmeasured', !mount.latency);
    say(cells.era, mount.era ?? '–');
    say(cells.version, mount.protocol_version ?? '–');
    say(cells.sessions, number(mount.sessions));
    say(cells.flight, number(mount.in_flight));
    say(cells.pids, mount.pids?.length ? mount.pids.join(', ') : 'none');
    say(cells.requests, number(mount.requests));
    say(cells.errors, number(mount.errors));
    say(cells.refused, number(mount.refused));
    say(cells.restarts, number(mount.restarts));
    say(cells.exit, mount.last_exit ?? '–');
    say(cells.verified, mount.verified_at ? clock(mount.verified_at) : '–');
    say(cells.sandbox, mount.sandbox ? 'yes' : 'no');
    say(cells.held, mount.held_back?.length ? mount.held_back.join(', ') : 'nothing');
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

/** Fills the panel of one kind of offer: a list to choose from, and what was chosen. */
async function offerPanel(client, offer, what, panel, isOffered) {
  const items = [];
  let failure;
  for (const [method, key] of isOffered ? what.lists : []) {
    await client.list(method, key).then(found => items.push(...found), error => {
      // Templates are often not there where resources are.
      if (method !== 'resources/templates/list') failure = error;
    });
  }
  if (failure) return panel.replaceChildren(h('p', { class: 'empty' }, `The list could not be had: ${failure.message}`));
  if (!items.length) return panel.replaceChildren(h('p', { class: 'empty' }, `It offers no ${offer}.`));
  const main = h('div', { class: 'offer', tabindex: -1 });
  const made = new Map();
  const filter = h('input', { type: 'search', placeholder: `Filter ${plural(items.length, what.label.toLowerCase().replace(/s$/, ''))}`, 'aria-label': `Filter ${offer}`, 'data-filter': '', oninput: sieve });
  const buttons = items.map(item => {
    const words = h('span', { class: 'sub' }, String(titleOf(item) ?? item.description ?? item.uri ?? item.uriTemplate ?? '').slice(0, 120));
    return h('button', { type: 'button', class: 'item', 'aria-pressed': 'false', 'data-item': item.name ?? '', onclick: () => choose(item) }, h('span', { class: 'item-name' }, String(item.name ?? item.uri ?? '')), words);
  });
  const list = h('ul', { class: 'items' }, buttons.map(button => h('li', null, button)));
  const none = h('p', { class: 'empty', hidden: true }, 'Nothing matches.');
  panel.replaceChildren(h('div', { class: 'offers' }, h('div', { class: 'offers-list' }, filter, list, none), main));
  choose(items[0]);

  function choose(item) {
    buttons.forEach((button, at) => button.setAttribute('aria-pressed', items[at] === item));
    // A call goes on, and its result stays, while another one is looked at.
    if (!made.has(item)) made.set(item, offered(client, what, item));
    main.replaceChildren(made.get(item));
  }

  function sieve() {
    const words = filter.value.trim().toLowerCase();
    let found = 0;
    items.forEach((item, at) => {
      const is = [item.name, item.title, item.description, item.uri].join(' ').toLowerCase().includes(words);
      show(buttons[at].parentElement, is);
      found += is;
    });
    show(none, !found);
  }
}

/** What an item is called, if that is more than its name. */
function titleOf({ name, title, annotations }) {
  const words = String(title ?? annotations?.title ?? '').trim();
  const plain = text => String(text).toLowerCase().replace(/[\s_-]+/g, ' ');
  return words && plain(words) !== plain(name ?? '') ? words : undefined;
}

function offered(client, what, item) {
  const title = titleOf(item);
  const hints = Object.entries({ readOnlyHint: 'only reads', destructiveHint: 'may destroy', idempotentHint: 'may be repeated', openWorldHint: 'reaches out' });
  const tags = hints.filter(([hint]) => item.annotations?.[hint] === true).map(([, word]) => h('span', { class: 'tag', title: 'The server says so' }, word));
  const schemas = what.schemas(item).filter(([, schema]) => schema).map(([label, schema]) => h('details', null, h('summary', null, label), jsonBlock(schema)));
  const uri = item.uri ?? item.uriTemplate;
  const about = h('div', { class: 'about' }, h('h3', null, h('code', null, String(item.name ?? '')), title && h('span', { class: 'field-title' }, title), ...tags));
  if (uri !== undefined) about.append(h('p', null, h('code', null, String(uri)), item.mimeType ? ` ${item.mimeType}` : ''));
  if (item.description) about.append(h('p', { class: 'description' }, String(item.description)));
  return h('div', null, about, request(client, what.request(item)), ...schemas);
}

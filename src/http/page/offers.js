// What a mount offers: a panel for each kind, with a form for each of them.

/** What a mount offers, by the tab that shows it. */
const OFFERS = {
  tools: {
    label: 'Tools',
    lists: [['tools/list', 'tools']],
    request: tool => ({ schema: tool.inputSchema ?? {}, how: { mayBeEmpty: true }, verb: 'Call', make: value => ({ method: 'tools/call', params: { name: tool.name, arguments: value } }), render: toolResult }),
    schemas: tool => [['Input schema', tool.inputSchema], ['Output schema', tool.outputSchema]],
  },
  prompts: {
    label: 'Prompts',
    lists: [['prompts/list', 'prompts']],
    request: prompt => ({ schema: promptSchema(prompt), verb: 'Get', make: value => ({ method: 'prompts/get', params: { name: prompt.name, arguments: value } }), render: promptResult }),
    schemas: () => [],
  },
  resources: {
    label: 'Resources',
    lists: [['resources/list', 'resources'], ['resources/templates/list', 'resourceTemplates']],
    request: resource => ({ schema: uriSchema(resource), how: { isShort: resource.uriTemplate !== undefined }, verb: 'Read', make: value => ({ method: 'resources/read', params: { uri: uriOf(resource, value) } }), render: resourceResult }),
    schemas: () => [],
  },
};

/** The panel of one kind of offer: a list to choose from, and what was chosen. `load()`: asks for the list, now or again. */
function offerPanel(client, offer, what, panel) {
  const main = h('div', { class: 'offer', tabindex: -1 });
  const filter = h('input', { type: 'search', 'aria-label': `Filter ${offer}`, 'data-filter': '', oninput: sieve });
  const again = h('button', { type: 'button', onclick: refresh, title: 'Ask for the list again' }, 'Refresh');
  const list = h('ul', { class: 'items' });
  const note = h('p', { class: 'empty', role: 'status' });
  const element = h('div', { class: 'offers is-empty' }, h('div', { class: 'offers-list' }, h('div', { class: 'filter-row' }, filter, again), list, note), main);
  // A call goes on, and its result stays, while another one is looked at, and while the list is asked for again.
  const made = new Map();
  let [items, chosen, loading, isStale, isAsked] = [[], undefined, false, false, false];

  function refresh() {
    isAsked = true;
    load();
  }

  async function load() {
    isStale = true;
    if (loading) return;
    loading = true;
    try {
      while (isStale && !client.closed) {
        isStale = false;
        const [found, failure] = await offersOf(client, what);
        if (!failure) take(found);
        else say(note, `The list could not be had: ${failure.message}`);
        if (failure) show(note, true);
        if (panel.firstElementChild !== element) panel.replaceChildren(element);
      }
    } finally {
      loading = false;
    }
  }

  function take(found) {
    const focused = list.contains(document.activeElement) ? chosen : undefined;
    items = found.map(item => {
      const words = h('span', { class: 'sub' }, String(titleOf(item) ?? item.description ?? item.uri ?? item.uriTemplate ?? '').slice(0, 120));
      const one = { item, text: JSON.stringify(item) };
      one.button = h('button', { type: 'button', class: 'item', 'data-item': item.name ?? '', onclick: () => choose(one) }, h('span', { class: 'item-name' }, String(item.name ?? item.uri ?? '')), words);
      return one;
    });
    list.replaceChildren(...items.map(({ button }) => h('li', null, button)));
    filter.placeholder = `Filter ${plural(items.length, what.label.toLowerCase().replace(/s$/, ''))}`;
    element.classList.toggle('is-empty', !items.length);
    say(note, items.length ? 'Nothing matches.' : `It offers no ${offer}.`);
    const same = items.find(({ text }) => text === chosen?.text) ?? items.find(({ item }) => chosen && nameOf(item) === nameOf(chosen.item));
    const isBusy = chosen && made.get(chosen.text).isBusy();
    // What is typed, or runs, stays as it is, though the server now says something else of it; and what it has answered, until
    // somebody asks for the list.
    if (same && (isBusy || !isAsked) && same.text !== chosen.text) made.set(same.text, made.get(chosen.text));
    const kept = new Set(items.map(({ text }) => text));
    for (const [text, one] of made) if (!one.isBusy() && (!kept.has(text) || (isAsked && one.of !== text))) made.delete(text);
    isAsked = false;
    const next = same ?? (isBusy ? undefined : items[0]);
    if (next) choose(next);
    else if (!isBusy) {
      chosen = undefined;
      main.replaceChildren();
    }
    if (focused) same?.button.focus();
    sieve();
  }

  function choose(one) {
    chosen = one;
    for (const each of items) each.button.setAttribute('aria-pressed', each === one);
    if (!made.has(one.text)) made.set(one.text, { ...offered(client, what, one.item), of: one.text });
    const { element: next } = made.get(one.text);
    if (main.firstElementChild !== next) main.replaceChildren(next);
  }

  function sieve() {
    const words = filter.value.trim().toLowerCase();
    let found = 0;
    for (const { item, button } of items) {
      const is = [item.name, item.title, item.description, item.uri, item.uriTemplate].join(' ').toLowerCase().includes(words);
      show(button.parentElement, is);
      found += is;
    }
    if (items.length) say(note, 'Nothing matches.');
    show(note, !found);
  }

  return { load, isBusy: () => [...made.values()].some(one => one.isBusy()) };
}

/** All that a mount offers of a kind, and why it could not be had. */
async function offersOf(client, what) {
  const found = [];
  let failure;
  for (const [method, key] of what.lists) {
    await client.list(method, key).then(some => found.push(...some), error => {
      // Templates are often not there where resources are.
      if (method !== 'resources/templates/list') failure = error;
    });
  }
  return [found, failure];
}

/** What stays when a server says something else of what it offers. */
const nameOf = ({ name, uri, uriTemplate }) => JSON.stringify([name, uri, uriTemplate]);

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
  const about = h('div', { class: 'about' }, h('h2', null, h('code', null, String(item.name ?? '')), title && h('span', { class: 'field-title' }, title), ...tags));
  if (uri !== undefined) about.append(h('p', null, h('code', null, String(uri)), item.mimeType ? ` ${item.mimeType}` : ''));
  if (item.description) about.append(h('p', { class: 'description' }, String(item.description)));
  // 2025-11-25, tools/list: such a tool is not called but as a task, of which this page knows nothing.
  const isTask = item.execution?.taskSupport === 'required';
  const trial = isTask ? { element: h('p', { class: 'quiet-text' }, 'This tool is called as a task only, which cannot be done here.'), isBusy: () => false } : request(client, what.request(item));
  return { element: h('div', null, about, trial.element, ...schemas), isBusy: trial.isBusy };
}

function promptSchema(prompt) {
  const named = Array.isArray(prompt.arguments) ? prompt.arguments : [];
  const properties = Object.fromEntries(named.map(({ name, title, description }) => [String(name), { type: 'string', title, description }]));
  return { type: 'object', properties, required: named.filter(({ required }) => required).map(({ name }) => name), additionalProperties: false };
}

/** A field for each variable of a template; a resource has none. */
function uriSchema({ uriTemplate }) {
  if (uriTemplate === undefined) return { type: 'object', properties: {}, additionalProperties: false };
  const variables = variablesOf(String(uriTemplate));
  const properties = variables.map(({ name }) => [name, { type: 'string' }]);
  return { type: 'object', properties: Object.fromEntries(properties), required: variables.filter(({ isNeeded }) => isNeeded).map(({ name }) => name), additionalProperties: false };
}

const uriOf = ({ uri, uriTemplate }, values) => (uriTemplate === undefined ? uri : expanded(String(uriTemplate), values));

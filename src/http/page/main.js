// The page begins: it looks each second, and shows what the address after `#` names.

const EVERY = 1000;

const courses = {
  all: new Map(),
  total: new Course(),
  of(kind, name) {
    const id = `${kind}/${name}`;
    if (!this.all.has(id)) this.all.set(id, new Course());
    return this.all.get(id);
  },
  look(at, status) {
    const mounts = [['server', status.servers], ['view', status.views], ['all', status.aggregate ? { all: status.aggregate } : {}]];
    const seen = new Set();
    for (const [kind, named] of mounts) {
      for (const [name, mount] of Object.entries(named ?? {})) {
        seen.add(`${kind}/${name}`);
        this.of(kind, name).look(at, mount);
      }
    }
    for (const id of this.all.keys()) if (!seen.has(id)) this.all.delete(id);
    this.total.look(at, sum(Object.values(status.servers ?? {})));
  },
};

const main = document.getElementById('main');
const link = document.getElementById('link');
const forget = document.getElementById('forget');
let [page, status, looking, timer] = [undefined, undefined, false, undefined];

/** The page that an address names. */
function pageOf(hash) {
  const [, kind, encoded] = /^#\/(server|view|all)(?:\/(.+))?$/.exec(hash) ?? [];
  let name;
  try {
    name = encoded && decodeURIComponent(encoded);
  } catch {
    name = encoded;
  }
  const own = (table, key) => (table && Object.hasOwn(table, key) ? table[key] : undefined);
  if (kind === 'server' && name) return detail({ kind, name }, status => own(status.servers, name));
  if (kind === 'view' && name) return detail({ kind, name }, status => own(status.views, name));
  if (kind === 'all') return detail({ kind, name: 'all', label: 'all servers' }, status => status.aggregate);
  return overview();
}

function turn(moveFocus) {
  page?.stop();
  page = pageOf(location.hash);
  main.replaceChildren(page.element);
  document.title = page.title;
  scrollTo(0, 0);
  if (status) page.update(status, courses);
  if (moveFocus) (page.element.querySelector('h1[tabindex]') ?? main).focus({ preventScroll: true });
}

async function look() {
  clearTimeout(timer);
  if (looking || document.hidden) return;
  looking = true;
  try {
    const abort = AbortSignal.timeout(10000);
    const response = await ask('status?format=json', { headers: { Accept: 'application/json' }, signal: abort });
    if ([401, 403, 429].includes(response.status)) return lock(key.get() ? await reason(response) : '');
    if (!response.ok) throw new Error(await reason(response));
    status = await response.json();
    courses.look(performance.now(), status);
    if (!page) turn(false);
    else page.update(status, courses);
    connected(true);
    const mounts = Object.keys(status.servers ?? {}).length;
    say(document.getElementById('facts'), `${status.version} · up ${uptime(status.uptime_seconds)} · ${plural(mounts, 'server')}`);
  } catch (error) {
    connected(false, error);
  } finally {
    looking = false;
  }
  timer = setTimeout(look, EVERY);
}

function connected(is, error) {
  show(forget, is && key.get() !== null);
  if (page) document.body.classList.remove('is-locked');
  link.className = `link-state ${is ? 'is-live' : 'is-lost'}`;
  say(link, is ? 'Live' : unanswered(error));
  link.title = is ? 'What you see is true now' : `The router does not answer; what you see is old. ${error?.message ?? ''}`;
  document.body.classList.toggle('is-stale', !is && Boolean(status));
  if (!page && !main.querySelector('.lock')) main.replaceChildren(h('div', { class: 'page' }, h('p', { class: 'empty' }, is ? 'Loading…' : 'The router does not answer. It is asked again each second.')));
}

/** Asks for a key. Nothing of what was shown before stays. `isNeeded`: without one there is nothing to see. */
function lock(why, isNeeded = true) {
  page?.stop();
  [page, status] = [undefined, undefined];
  courses.all.clear();
  courses.total = new Course();
  key.set(null);
  show(forget, false);
  document.body.classList.add('is-locked');
  say(link, '');
  say(document.getElementById('facts'), '');
  document.title = 'mcp-switchboard';
  const [id, wrong] = [freshId(), freshId()];
  const input = h('input', { type: 'password', id, autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': wrong });
  const trouble = h('p', { class: 'trouble', id: wrong, role: 'alert' }, why);
  const enter = event => {
    event.preventDefault();
    const given = input.value.trim();
    // Only these can stand in a header.
    if (!/^[\x21-\x7e]+$/.test(given)) return say(trouble, 'A key has only letters, digits and signs, and no spaces.');
    key.set(given);
    look();
  };
  main.replaceChildren(
    h(
      'div',
      { class: 'lock card' },
      h('h1', null, 'Who are you?'),
      h('p', { class: 'quiet-text' }, isNeeded ? 'This router asks for a key.' : 'With an operator’s key you see more.', ' It is kept in this tab alone, and forgotten with it.'),
      h('form', { onsubmit: enter, novalidate: true }, h('label', { for: id }, 'Key or access token'), input, trouble, h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary' }, 'Go on'), !isNeeded && h('button', { type: 'button', onclick: look }, 'Without'))),
    ),
  );
  input.focus();
}

forget.addEventListener('click', () => (key.set(null), lock('')));
addEventListener('hashchange', () => {
  if (location.hash === '#main') return history.replaceState(null, '', '#/');
  if (page) turn(true);
});
document.getElementById('skip').addEventListener('click', event => {
  event.preventDefault();
  main.focus();
});
addEventListener('pagehide', () => page?.stop());
addEventListener('pageshow', event => {
  // Back from where a browser keeps pages: what it held has ended.
  if (event.persisted && page) turn(false);
});
document.addEventListener('visibilitychange', () => look());
addEventListener('keydown', event => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.key === '/' && !isTyping && page?.filter) {
    event.preventDefault();
    page.filter.focus();
  } else if (event.key === 'Escape' && isTyping) {
    event.target.blur();
  } else if (event.key === 'Escape' && main.querySelector('[data-cancel]:not([hidden])')) {
    main.querySelector('[data-cancel]:not([hidden])').click();
  } else if (event.key === 'Escape' && location.hash.length > 2) {
    location.hash = '#/';
  }
});

look();

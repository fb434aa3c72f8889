// The page begins: it looks each second, and shows what the address after `#` names.

const EVERY = 1000;
const PATIENCE = 10000;

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
let [page, status, looking, timer, isLocked] = [undefined, undefined, undefined, undefined, false];

/** While somebody who need not shows another key: the one before, which holds if the other does not. */
let spare;

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
  // While a key is asked for nothing else happens: what is typed stays.
  if (looking || isLocked || document.hidden) return;
  const mine = (looking = new AbortController());
  const late = setTimeout(() => mine.abort(new DOMException('The router does not answer.', 'TimeoutError')), PATIENCE);
  try {
    const response = await ask('status?format=json', { headers: { Accept: 'application/json' }, signal: mine.signal });
    const [isRefused, why] = [[401, 403, 429].includes(response.status), response.ok ? '' : await reason(response)];
    const next = response.ok ? await response.json() : undefined;
    if (looking !== mine) return;
    if (isRefused) return lock(key.get() ? why : '', !spare);
    if (!next) throw new Error(why);
    [status, spare] = [next, undefined];
    courses.look(performance.now(), status);
    if (!page) turn(false);
    else page.update(status, courses);
    connected(true);
    const mounts = Object.keys(status.servers ?? {}).length;
    say(document.getElementById('facts'), `${status.version} · up ${uptime(status.uptime_seconds)} · ${plural(mounts, 'server')}`);
  } catch (error) {
    if (looking !== mine) return;
    connected(false, error);
  } finally {
    clearTimeout(late);
    if (looking === mine) {
      looking = undefined;
      if (!isLocked) timer = setTimeout(look, EVERY);
    }
  }
}

/** Back to all servers; who has typed something, or waits for an answer, is asked first. */
async function back() {
  if (!page?.isBusy?.() || (await sure('What you have typed, or wait for, is lost when you leave this page.', 'Leave'))) location.hash = '#/';
}

function connected(is, error) {
  show(forget, is && key.get() !== null);
  if (page) document.body.classList.remove('is-locked');
  link.className = `link-state ${is ? 'is-live' : 'is-lost'}`;
  say(link, is ? 'Live' : unanswered(error));
  link.title = is ? 'What you see is true now' : `${error?.message ?? ''} What you see is old.`;
  document.body.classList.toggle('is-stale', !is && Boolean(status));
  if (!page && !main.querySelector('.lock')) main.replaceChildren(h('div', { class: 'page' }, h('p', { class: 'empty' }, is ? 'Loading…' : 'The router does not answer. It is asked again each second.')));
}

/** Ends a look that is under way, and puts off the next: it was for somebody else. */
function lookAway() {
  clearTimeout(timer);
  looking?.abort();
  looking = undefined;
}

/** Nothing of what was shown before stays. */
function clear() {
  lookAway();
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close();
  page?.stop();
  [page, status] = [undefined, undefined];
  courses.all.clear();
  courses.total = new Course();
  show(forget, false);
  document.body.classList.add('is-locked');
  say(link, '');
  say(document.getElementById('facts'), '');
  document.title = 'mcp-switchboard';
}

/** Looks again, as whoever has given this key; nothing: as nobody. */
function enterWith(given) {
  lookAway();
  key.set(given);
  isLocked = false;
  look();
}

/** Asks for a key. `isNeeded`: without one there is nothing to see; else the one before holds until there is another. */
function lock(why, isNeeded = true) {
  clear();
  isLocked = true;
  spare = isNeeded ? undefined : (spare ?? { key: key.get() });
  key.set(spare?.key ?? null);
  const [id, wrong] = [freshId(), freshId()];
  const input = h('input', { type: 'password', id, autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': wrong });
  const trouble = h('p', { class: 'trouble', id: wrong, role: 'alert' }, why);
  const enter = event => {
    event.preventDefault();
    const given = input.value.trim();
    if (!given) return say(trouble, 'Enter a key.');
    // Only these can stand in a header.
    if (!/^[\x21-\x7e]+$/.test(given)) return say(trouble, 'A key has only letters, digits and signs, and no spaces.');
    enterWith(given);
  };
  const without = () => {
    const { key: before } = spare;
    spare = undefined;
    enterWith(before);
  };
  main.replaceChildren(
    h(
      'div',
      { class: 'lock card' },
      h('h1', null, 'Who are you?'),
      h('p', { class: 'quiet-text' }, isNeeded ? 'This router asks for a key.' : 'With an operator’s key you see more.', ' It is kept in this tab alone, and forgotten with it.'),
      h('form', { onsubmit: enter, novalidate: true }, h('label', { for: id }, 'Key or access token'), input, trouble, h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'primary' }, 'Go on'), !isNeeded && h('button', { type: 'button', onclick: without }, 'Without'))),
    ),
  );
  input.focus();
}

/** What the router says, as it says it. */
async function raw() {
  const title = freshId();
  const body = h('div', null, h('p', { class: 'empty' }, 'Loading…'));
  const dialog = h('dialog', { class: 'is-wide', 'aria-labelledby': title, 'data-raw': '' }, h('div', { class: 'section-head' }, h('h2', { id: title }, 'Status in JSON'), h('button', { type: 'button', onclick: () => dialog.close() }, 'Close')), body);
  opened(dialog);
  try {
    const response = await ask('status?format=json', { headers: { Accept: 'application/json' } });
    body.replaceChildren(response.ok ? jsonBlock(await response.json()) : textBlock(await reason(response)));
  } catch (error) {
    body.replaceChildren(textBlock(error.message));
  }
}

forget.addEventListener('click', () => {
  clear();
  main.replaceChildren();
  enterWith(null);
});
document.getElementById('raw').addEventListener('click', event => {
  // A link shows no key. Where none is needed, it leads to another tab.
  if (key.get() === null) return;
  event.preventDefault();
  raw();
});
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
    // The same key would close the question at once.
    event.preventDefault();
    back();
  }
});

look();

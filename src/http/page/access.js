// Where the router is, and what is shown to it. The key lives as long as this tab does.

/** The folder that this page is in, so that it works below any prefix that a proxy may have. */
const FOLDER = location.pathname.replace(/\/+$/, '').replace(/[^/]*$/, '');
const KEY = 'mcp-switchboard-key';

const key = {
  // Where storage is forbidden, a key is kept in memory.
  memory: null,
  get() {
    try {
      return sessionStorage.getItem(KEY) ?? this.memory;
    } catch {
      return this.memory;
    }
  },
  set(value) {
    this.memory = value;
    try {
      if (value === null) sessionStorage.removeItem(KEY);
      else sessionStorage.setItem(KEY, value);
    } catch {
      // It stays in memory.
    }
  },
};

/** Asks the router for something below its folder, as whoever has given a key. */
async function ask(path, { headers, ...options } = {}) {
  const shown = key.get();
  const authorization = shown ? { Authorization: `Bearer ${shown}` } : {};
  try {
    return await fetch(FOLDER + path, { cache: 'no-store', redirect: 'error', ...options, headers: { ...authorization, ...headers } });
  } catch (error) {
    // Browsers have words of their own for that, which help nobody.
    throw error instanceof TypeError ? new Error('The router does not answer.', { cause: error }) : error;
  }
}

/** Why an answer is none, in the router's own words where it has some. */
async function reason(response) {
  const text = await response.text().catch(() => '');
  try {
    const { error } = JSON.parse(text);
    return error?.message ?? (typeof error === 'string' ? error : undefined) ?? `HTTP ${response.status}`;
  } catch {
    return text.slice(0, 300) || `HTTP ${response.status}`;
  }
}

/** Where a mount is served, from here: its URL, and the path to ask below our folder. */
function addresses(mount) {
  const prefix = FOLDER.slice(0, -1);
  return (mount.urls ?? []).map(path => {
    // What a proxy puts before our paths is known to this page; the router may know it, or not.
    const named = /\/(?:servers|views)\/[^/]+\/[^/]+$/.exec(path);
    const below = prefix && path.startsWith(FOLDER) ? path.slice(FOLDER.length) : (named?.[0] ?? path).slice(1);
    return { below, url: location.origin + FOLDER + below };
  });
}

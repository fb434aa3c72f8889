// What a browser does with a page to log in at: it follows, with cookies, until it is back. Usage: node browser.mjs URL

import assert from 'node:assert/strict';

// The URL that it is sent back to, which begins with `end`; without one, it goes there, too.
export async function browse(page, end) {
  const cookies = new Map();
  for (let at = String(page); ; ) {
    if (end && at.startsWith(end)) return new URL(at).searchParams;
    const cookie = [...cookies].map(pair => pair.join('=')).join('; ');
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [name, ...value] = line.split(';')[0].split('=');
      cookies.set(name, value.join('='));
    }
    const next = answer.headers.get('location');
    if (!next && answer.ok && !end) return undefined;
    assert.ok(next, `${answer.status} at ${at}: ${await answer.text()}`);
    at = String(new URL(next, at));
  }
}

if (process.argv[1].endsWith('browser.mjs')) {
  await browse(process.argv[2]);
}

// A browser that looks at the page, and notes whatever no page of ours may do.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

/** Longer than anything may take; only a failing story waits that long. */
export const PATIENCE = 20_000;

export const launch = (args = []) => chromium.launch({ executablePath: process.env.CHROMIUM, args });

/** Opens `/status` of `base`. `check()`: nothing happened that may not. */
export async function visit(browser, base, { hash = '', path = '/status', before, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const wrong = [];
  page.on('pageerror', error => wrong.push(`an error in the page: ${error.stack}`));
  page.on('dialog', dialog => {
    wrong.push(`a dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  page.on('request', request => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== 'data:' && origin !== new URL(base).origin) wrong.push(`a request to ${request.url()}`);
  });
  page.on('console', message => {
    if (/Content Security Policy/i.test(message.text())) wrong.push(message.text());
  });
  await before?.(page);
  await page.goto(`${base}${path}${hash}`);
  const check = () => assert.deepEqual(wrong, []);
  return { context, page, check };
}

/** Waits for something that nobody announces. */
export async function eventually(what, look, patience = PATIENCE) {
  const until = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < until, `it did not come about that ${what}`);
    await sleep(20);
  }
}

/** What the router says in JSON. */
export async function status(base) {
  const answer = await fetch(`${base}/status`);
  assert.equal(answer.status, 200);
  return answer.json();
}

/** The row of a mount. */
export const row = (page, name) => page.locator(`[data-mount="${name}"]`);

/** Opens a mount's own page, and one of its tools. */
export async function openTool(page, mount, tool) {
  await row(page, mount).getByRole('link').click();
  await page.locator(`[data-item="${tool}"]`).click();
  return page.locator('[role=tabpanel]:not([hidden]) .offer');
}

/** Fills the field of an argument. */
export const fill = (where, name, text) => where.locator(`[data-field="${name}"]`).locator('input, textarea').fill(text);

export const outcome = where => where.locator('[data-outcome]');

/** A session of a client that is no browser. */
export async function session(base, mount) {
  let [id, session] = [0, undefined];
  const send = async message => {
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...(session && { 'mcp-session-id': session }) };
    const answer = await fetch(`${base}/servers/${mount}/mcp`, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
    session ??= answer.headers.get('mcp-session-id');
    return answer.text();
  };
  const call = (method, params) => send({ id: (id += 1), method, params });
  await call('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'story', version: '1' } });
  await send({ method: 'notifications/initialized' });
  return { call };
}

/** Run in the page: what cannot be read there, because words lie over each other or are wider than the page. */
export function overlaps() {
  const seen = [];
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const { currentNode: node } = words;
    const { parentElement: element } = node;
    if (!node.data.trim() || element.closest('script, style, noscript, option, .unseen, .skip') || !element.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const { left, top, right, bottom } of range.getClientRects()) {
      const shown = { node, isBar: Boolean(element.closest('.bar')), left, top, right, bottom };
      for (let around = element; around !== document.body; around = around.parentElement) {
        if (getComputedStyle(around).overflow === 'visible') continue;
        const edge = around.getBoundingClientRect();
        Object.assign(shown, { left: Math.max(shown.left, edge.left), top: Math.max(shown.top, edge.top), right: Math.min(shown.right, edge.right), bottom: Math.min(shown.bottom, edge.bottom) });
      }
      if (shown.right - shown.left > 1 && shown.bottom - shown.top > 1) seen.push(shown);
    }
  }
  const found = seen.flatMap((one, at) =>
    seen.slice(at + 1).flatMap(other => {
      // What is scrolled goes below the bar.
      if (one.node === other.node || one.isBar !== other.isBar) return [];
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      // Lines stand close: letters have room above and below that is not theirs.
      const line = Math.min(one.bottom - one.top, other.bottom - other.top);
      return across > 2 && down > line / 3 ? [`${one.node.data.trim()} | ${other.node.data.trim()}`] : [];
    }),
  );
  const { scrollWidth, clientWidth } = document.documentElement;
  return scrollWidth > clientWidth ? [...found, `${scrollWidth} pixels are wider than ${clientWidth}`] : found;
}

// The stories of what is read on the page: that it is what was sent, that it is old where it is old, and that it can be read.

import assert from 'node:assert/strict';
import { eventually, fill, launch, openTool, outcome, overlaps, row, session, visit } from './browser.mjs';

/** JSON that `JSON.parse` and `JSON.stringify` would make other JSON of. */
const TO_THE_LETTER = '{"big":12345678901234567890,"f":1.0,"e":1e400,"10":"b","2":"\\u0061","none":{ },"twice":1,"twice":[2.50]}';
const ON_LINES = ['{', '  "big": 12345678901234567890,', '  "f": 1.0,', '  "e": 1e400,', '  "10": "b",', '  "2": "\\u0061",', '  "none": {},', '  "twice": 1,', '  "twice": [', '    2.50', '  ]', '}'];

const hide = (page, is) =>
  page.evaluate(is => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });
    document.dispatchEvent(new Event('visibilitychange'));
  }, is);

export const reading = {
  async whatWasSentIsShownToTheLetter(browser, base) {
    const message = (text, more) => ({ at: '2020-01-02T03:04:05.678Z', server: 'demo', session: 'a1b2', from: 'client', kind: 'request', method: 'x', bytes: 70, message: text, cut: false, ...more });
    const items = [message(TO_THE_LETTER), message(TO_THE_LETTER.slice(0, 40), { from: 'server', cut: true })];
    const before = async page => {
      await page.addInitScript(() => {
        const write = text => ((window.copied = text), Promise.resolve());
        Object.defineProperty(navigator, 'clipboard', { value: { writeText: write } });
      });
      let answer = items.map(item => `data: ${JSON.stringify(item)}\n\n`).join('');
      await page.route('**/admin/traffic**', route => {
        const body = answer;
        answer = undefined;
        return body === undefined ? undefined : route.fulfill({ contentType: 'text/event-stream', body });
      });
      await page.route('**/servers/demo/mcp', (route, request) => {
        const asked = request.postDataJSON();
        if (asked?.method !== 'tools/call') return route.continue();
        const told = `{"jsonrpc":"2.0","id":${asked.id},"result":{"content":[],"structuredContent":${TO_THE_LETTER}}}`;
        const isStream = asked.params.arguments.a === 1;
        return route.fulfill({ contentType: isStream ? 'text/event-stream' : 'application/json', body: isStream ? `data: ${told}\n\n` : told });
      });
    };
    const { page, check } = await visit(browser, base, { before });
    // A result, as it comes in a stream, and as it comes alone.
    const add = await openTool(page, 'demo', 'add');
    for (const a of ['1', '2']) {
      await fill(add, 'a', a);
      await fill(add, 'b', '2');
      await add.getByRole('button', { name: 'Call' }).click();
      await outcome(add).getByText('Done').waitFor();
      assert.equal(await outcome(add).locator('pre').first().textContent(), ON_LINES.join('\n'));
      await outcome(add).getByText('The whole result').click();
      const whole = ['{', '  "content": [],', ...ON_LINES.map((line, at) => (at ? `  ${line}` : `  "structuredContent": ${line}`)), '}'];
      assert.equal(await outcome(add).locator('details pre').textContent(), whole.join('\n'));
    }
    // A message; and one that is cut, which is no JSON.
    await page.getByRole('tab', { name: 'Traffic' }).click();
    const list = page.locator('[data-traffic] > li');
    await eventually('the messages are there', async () => (await list.count()) === 2);
    for (const item of await list.all()) await item.getByRole('button').first().click();
    assert.equal(await list.nth(0).locator('pre').textContent(), ON_LINES.join('\n'));
    assert.equal(await list.nth(1).locator('pre').textContent(), TO_THE_LETTER.slice(0, 40));
    // Not today: the time has its date.
    assert.match(await list.locator('time').first().textContent(), /^2020-01-0[1-3] \d\d:\d\d:05\.678$/);
    await page.getByLabel('Direction').selectOption('server');
    await page.getByRole('button', { name: 'Copy shown' }).click();
    const copied = await page.evaluate(() => window.copied);
    assert.deepEqual(copied.split('\n').map(line => JSON.parse(line).from), ['server'], 'what is shown is copied, and nothing else');
    await page.getByRole('tabpanel').getByPlaceholder('Filter messages').fill('is nowhere');
    await page.getByText('Nothing matches.').locator('visible=true').waitFor();
    assert.ok(!(await page.locator('[data-traffic]').isVisible()), 'there is no empty frame');
    check();
  },

  async aHiddenPageGivesItsConnectionBack(browser, base) {
    const { page, check } = await visit(browser, base, { hash: '#/server/demo', before: page => page.clock.install() });
    await page.getByRole('tab', { name: 'Traffic' }).click();
    const list = page.locator('[data-traffic] > li');
    const client = await session(base, 'demo');
    const say = text => client.call('tools/call', { name: 'echo', arguments: { text } });
    await eventually('the traffic is watched', async () => (await say('before'), (await list.count()) > 0));
    const rested = page.waitForEvent('requestfailed', request => request.url().includes('/admin/traffic'));
    await hide(page, true);
    await page.clock.fastForward(61_000);
    await rested;
    await say('unseen');
    await hide(page, false);
    await list.getByText(/^Not watched from .*\d\d:\d\d:\d\d to .*\d\d:\d\d:\d\d$/).waitFor();
    await eventually('it is watched again', async () => (await say('after'), (await list.filter({ hasText: 'after' }).count()) > 0));
    assert.equal(await list.filter({ hasText: 'unseen' }).count(), 0);
    assert.equal(await list.filter({ hasText: 'Not watched' }).count(), 1);
    check();
  },

  async whatIsOldIsCalledOld(browser, base) {
    let [asked, isAnother, isBusy] = [0, false, false];
    const before = async page => {
      // Where nothing answers, its patience of some seconds has an end at once.
      await page.addInitScript(() => {
        const shorter = (wait, isLong) => (window.isBusy && isLong ? 1 : wait);
        const { setTimeout } = window;
        const { timeout } = AbortSignal;
        window.setTimeout = (what, wait, ...more) => setTimeout(what, shorter(wait, wait > 5000), ...more);
        AbortSignal.timeout = wait => timeout.call(AbortSignal, shorter(wait, true));
      });
      await page.route('**/status?format=json', async route => {
        if (isBusy) return;
        const answer = await route.fetch();
        const told = await answer.json();
        asked += 10;
        const requests = isAnother ? 0 : asked;
        Object.assign(told.servers.demo, { requests, latency: { count: requests, seconds: requests / 100 } });
        return route.fulfill({ response: answer, json: told });
      });
    };
    const { page, check } = await visit(browser, base, { before, viewport: { width: 1280, height: 500 } });
    const latency = page.locator('[data-figure=latency] .figure');
    const rate = page.locator('[data-figure=rate] .plot-line');
    await eventually('the latency is measured', async () => (await latency.textContent()) === '10 ms' && /L/.test(await rate.getAttribute('d')));
    assert.equal(await page.locator('[data-figure=latency] .plot-most').textContent(), 'max 10 ms');
    // Another router: what the one before did is not its past.
    isAnother = true;
    await eventually('nothing has been measured yet', async () => (await latency.textContent()) === '–');
    assert.equal(await page.locator('[data-figure=flight] .figure-note').textContent(), '0 requests so far');
    assert.equal(await row(page, 'demo').locator('[data-label=Latency] > span').textContent(), '–');
    // Whoever has scrolled sees that nothing answers, and can still read what was.
    isBusy = true;
    await page.evaluate(() => {
      window.isBusy = true;
      scrollTo(0, document.body.scrollHeight);
    });
    const lost = page.getByText('No answer: it is busy, or too many tabs are open');
    await lost.waitFor();
    const { y } = await lost.boundingBox();
    assert.ok((await page.evaluate(() => scrollY)) > 0 && y >= 0 && y < 100, `it stands at ${y}`);
    assert.equal(await page.locator('.page').evaluate(element => getComputedStyle(element).opacity), '1');
    check();
  },

  async largeLettersDoNotLieOverEachOther(_, base) {
    // As in the settings of a browser: letters alone, twice as large. What says which pointer there is keeps what Playwright says.
    const pointers = 'primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4';
    const large = await launch([`--blink-settings=defaultFontSize=32,defaultFixedFontSize=26,${pointers}`]);
    try {
      for (const viewport of [{ width: 1280, height: 900 }, { width: 360, height: 740 }]) {
        const { page, check } = await visit(large, base, { viewport });
        const reads = async what => assert.deepEqual(await page.evaluate(overlaps), [], `${what}, ${viewport.width} pixels wide`);
        await row(page, 'failed').locator('.state').getByText('failed', { exact: true }).waitFor();
        await page.locator('[data-events] li').first().waitFor();
        assert.equal(await page.evaluate(() => getComputedStyle(document.body).fontSize), '28px', 'letters are as large as wanted');
        await reads('all servers');
        const count = await openTool(page, 'one', 'count');
        await fill(count, 'to', '2');
        await count.getByRole('button', { name: 'Call' }).click();
        await outcome(count).getByText('Counted to 2.').first().waitFor();
        await reads('a tool');
        await page.getByRole('tab', { name: 'Traffic' }).click();
        const client = await session(base, 'one');
        const list = page.locator('[data-traffic] > li');
        await eventually('there is traffic', async () => (await client.call('tools/list', {}), (await list.count()) > 1));
        await reads('its traffic');
        check();
      }
    } finally {
      await large.close();
    }
  },
};

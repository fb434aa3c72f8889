// The stories of the page in a browser. Usage: node stories.mjs STORY URL [MORE...]

import assert from 'node:assert/strict';
import http from 'node:http';
import { eventually, fill, launch, openTool, outcome, row, session, status, visit } from './browser.mjs';
import { reading } from './reading.mjs';

const stories = {
  ...reading,

  async everyMountIsShown(browser, base) {
    const { page, check } = await visit(browser, base);
    const told = Object.entries((await status(base)).servers);
    assert.equal(told.length, 10);
    for (const [name, mount] of told) {
      await row(page, name).locator('.state').getByText(mount.state, { exact: true }).waitFor();
      for (const pid of mount.pids) await row(page, name).getByText(String(pid)).waitFor();
      if (mount.error) await row(page, name).getByText(mount.error).waitFor();
    }
    assert.equal(await page.locator('[data-mount]:visible').count(), 11, 'ten servers, and all of them together');
    assert.equal(await page.locator('[data-figure=servers] .figure').textContent(), '10');
    // What is asked shows in the figures and the plots.
    const client = await session(base, 'one');
    const rate = row(page, 'one').locator('[data-label="Requests/s"]');
    await eventually('the rate of one is no longer zero', async () => {
      await client.call('tools/call', { name: 'echo', arguments: { text: 'x' } });
      return Number(await rate.locator('span').textContent()) > 0;
    });
    await eventually('the rate is drawn', async () => /^M.*L/.test(await rate.locator('.plot-line').getAttribute('d')));
    assert.equal(await row(page, 'one').locator('[data-label=Sessions]').textContent(), '1');
    // What is filtered is hidden.
    await page.keyboard.press('/');
    await page.keyboard.type('fail');
    await eventually('only the failed one is left', async () => (await page.locator('[data-mount]:visible').count()) === 2);
    assert.ok(await row(page, 'failed').isVisible());
    check();
  },

  async aCrashIsSeenWithinTwoSeconds(browser, base) {
    const { page, check } = await visit(browser, base);
    await row(page, 'demo').getByText('ready', { exact: true }).waitFor();
    const spare = (await status(base)).servers.demo.pids;
    const client = await session(base, 'demo');
    await client.call('tools/call', { name: 'echo', arguments: { text: 'x' } });
    assert.ok(spare.length, 'there is a process');
    const begun = Date.now();
    process.kill(spare[0], 'SIGKILL');
    await row(page, 'demo').getByText(/killed by|signal/).waitFor({ timeout: 2000 });
    assert.ok(Date.now() - begun < 2000);
    check();
  },

  async aToolIsCalledThroughItsForm(browser, base) {
    const { page, check } = await visit(browser, base);
    const add = await openTool(page, 'demo', 'add');
    await add.getByText('Add two numbers').waitFor();
    await add.getByRole('button', { name: 'Call' }).click();
    assert.equal(await add.locator('[data-field=a] .trouble').textContent(), 'This is required.');
    await fill(add, 'a', 'two');
    await fill(add, 'b', '3');
    await add.getByRole('button', { name: 'Call' }).click();
    assert.equal(await add.locator('[data-field=a] .trouble').textContent(), 'This is not a number.');
    await fill(add, 'a', '2');
    await add.getByRole('button', { name: 'Call' }).click();
    await outcome(add).getByText('Done').waitFor();
    assert.equal(await outcome(add).locator('pre').first().textContent(), '5');
    // What a server refuses is said, too.
    const sleep = await chooseTool(page, 'sleep');
    await fill(sleep, 'ms', '-1');
    await sleep.getByRole('button', { name: 'Call' }).click();
    assert.match(await sleep.locator('[data-field=ms] .trouble').textContent(), /at least 0/);
    const sample = await chooseTool(page, 'sample');
    await fill(sample, 'prompt', 'hello');
    await sample.getByRole('button', { name: 'Call' }).click();
    await outcome(sample).getByText('The tool reports an error').waitFor();
    // What was done before is still there.
    const again = await chooseTool(page, 'add');
    assert.equal(await outcome(again).locator('pre').first().textContent(), '5');
    // Prompts and resources have their own forms.
    for (const [tab, verb] of [['Prompts', 'Get'], ['Resources', 'Read']]) {
      await page.getByRole('tab', { name: tab }).click();
      const offer = page.locator('[role=tabpanel]:not([hidden]) .offer');
      for (const field of await offer.locator('input, textarea').all()) await field.fill('x');
      await offer.getByRole('button', { name: verb }).click();
      await outcome(offer).getByText('Done').waitFor();
      assert.ok((await outcome(offer).locator('pre').first().textContent()).length > 0);
    }
    // Who leaves ends his session.
    assert.equal((await status(base)).servers.demo.sessions, 1);
    // But what is typed and was not sent is not thrown away by a key.
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').getByRole('button', { name: 'Stay' }).click();
    await page.getByRole('tab', { name: 'Tools' }).click();
    assert.equal(await (await chooseTool(page, 'sleep')).locator('[data-field=ms] input').inputValue(), '-1');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
    await eventually('the session has ended', async () => (await status(base)).servers.demo.sessions === 0);
    check();
  },

  async aFormSaysWhatItsSchemaSays(browser, base) {
    const { page, check } = await visit(browser, base);
    const paint = await openTool(page, 'puppet', 'paint');
    const trouble = name => paint.locator(`[data-field="${name}"] .trouble`).textContent();
    const call = () => paint.getByRole('button', { name: 'Call' }).click();
    // References lead to what stands elsewhere in the schema.
    assert.deepEqual(await paint.locator('[data-field=colors] label').allTextContents(), ['red', 'green']);
    assert.equal(await paint.locator('[data-field=kind] select option:checked').textContent(), 'paint', 'there is one value only');
    await paint.locator('[data-field=size]').getByText('string or integer, as JSON').waitFor();
    for (const [name, wrong, words, right] of [
      ['mail', 'nobody', /no email/, 'a@example.org'],
      ['place', 'not a place', /no URI/, 'file:///tmp/x'],
      ['when', 'tomorrow', /no date and time/, '2026-01-31T12:00:00.5+01:00'],
      ['step', '0.35', /multiple of 0.1/, '0.3'],
      ['list', '{}', /JSON array/, '[1]'],
      ['size', '[1', /not JSON/, 'large'],
    ]) {
      await fill(paint, name, wrong);
      await call();
      assert.match(await trouble(name), words);
      await fill(paint, name, right);
    }
    // What is required may be empty where nothing says that it may not.
    await call();
    assert.equal(await trouble('name'), 'This is required.');
    await fill(paint, 'name', 'x');
    await call();
    await outcome(paint).getByText('Done').waitFor();
    await outcome(paint).getByText('The whole result').click();
    const { lines } = JSON.parse(await outcome(paint).locator('details pre').textContent());
    const sent = JSON.parse(lines.at(-1)).params.arguments;
    assert.deepEqual(sent, { recall: true, kind: 'paint', colors: [], content: '', name: 'x', mail: 'a@example.org', place: 'file:///tmp/x', when: '2026-01-31T12:00:00.5+01:00', step: 0.3, list: [1], size: 'large' });
    // What is no picture is said to be none, and data are as large as they are.
    const show = await chooseTool(page, 'show');
    const content = [{ type: 'image', mimeType: 'image/png', data: 'AAAA' }, { type: 'resource', resource: { uri: 'x:y', blob: 'AA==' } }];
    await fill(show, 'answer', JSON.stringify({ content }));
    await show.getByRole('button', { name: 'Call' }).click();
    await outcome(show).getByText('This is no picture (image/png).').waitFor();
    await outcome(show).getByText('1 B of data').waitFor();
    await (await chooseTool(page, 'slow')).getByText('as a task only').waitFor();
    assert.equal(await page.locator('.offer').getByRole('button', { name: 'Call' }).count(), 0);
    check();
  },

  async aTemplateAsksForItsVariables(browser, base) {
    const { page, check } = await visit(browser, base, { hash: '#/server/demo' });
    await page.getByRole('tab', { name: 'Resources' }).click();
    const panel = page.locator('[role=tabpanel]:not([hidden])');
    await panel.getByLabel('Filter resources').fill('square/{');
    await eventually('it is found by its URI', async () => (await panel.locator('[data-item]:visible').count()) === 1);
    await panel.locator('[data-item=square]').click();
    await panel.getByRole('button', { name: 'Read' }).click();
    assert.equal(await panel.locator('[data-field=number] .trouble').textContent(), 'This is required.');
    await panel.locator('[data-field=number] input').fill('12');
    await page.keyboard.press('Enter');
    await outcome(panel).getByText('144').first().waitFor();
    await outcome(panel).getByText('demo://square/12').first().waitFor();
    check();
  },

  async aListThatChangesIsShownAsItIsNow(browser, base) {
    const { page, check } = await visit(browser, base);
    const echo = await openTool(page, 'demo', 'echo');
    await fill(echo, 'text', 'half a sen');
    const toggle = await chooseTool(page, 'toggle');
    await toggle.getByRole('button', { name: 'Call' }).click();
    await outcome(toggle).getByText('Done').waitFor();
    await page.locator('[data-item=bonus]').waitFor();
    assert.equal(await page.locator('[data-item=toggle]').getAttribute('aria-pressed'), 'true', 'what was chosen is so still');
    assert.ok(await outcome(toggle).getByText('Done').isVisible());
    const again = await chooseTool(page, 'echo');
    assert.equal(await again.locator('[data-field=text]').locator('input, textarea').inputValue(), 'half a sen');
    await chooseTool(page, 'toggle');
    await toggle.getByRole('button', { name: 'Call' }).click();
    await page.locator('[data-item=bonus]').waitFor({ state: 'detached' });
    // What a server does not tell is asked for.
    const asks = page.waitForRequest(request => (request.postData() ?? '').includes('tools/list'));
    await page.getByRole('tabpanel').getByRole('button', { name: 'Refresh' }).click();
    await asks;
    await page.route('**/servers/demo/mcp', route => route.abort());
    await toggle.getByRole('button', { name: 'Call' }).click();
    await outcome(toggle).getByText('The router does not answer.').waitFor();
    check();
  },

  async aServerThatIsNoLongerThereIsGone(browser, base) {
    let change = told => told;
    const before = page => page.route('**/status?format=json', async route => {
      const response = await route.fetch();
      await route.fulfill({ response, json: change(await response.json()) });
    });
    const { page, check } = await visit(browser, base, { before });
    await openTool(page, 'demo', 'echo');
    const state = page.locator('.title-row .state');
    await state.getByText('ready').waitFor();
    change = told => ({ ...told, servers: {} });
    await page.getByText('There is no such server').waitFor();
    assert.equal(await state.isVisible(), false);
    assert.equal(await page.locator('.lead').isVisible(), false);
    await eventually('its session has ended', async () => (await status(base)).servers.demo.sessions === 0);
    change = told => ({ ...told, config: { ...told.config, needs_restart: ['port', 'limits'] } });
    await page.locator('[data-item=echo]').waitFor();
    await page.getByRole('link', { name: 'All servers' }).click();
    await page.getByText('used from the next start on: port, limits').waitFor();
    check();
  },

  async aQuestionIsAnsweredInADialog(browser, base) {
    const { page, check } = await visit(browser, base);
    const ask = await openTool(page, 'demo', 'ask');
    const question = page.getByRole('dialog');
    const asked = async () => {
      await ask.getByRole('button', { name: 'Call' }).click();
      await question.getByText('Which way?').waitFor();
    };
    await fill(ask, 'question', 'Which way?');
    await asked();
    await question.getByRole('button', { name: 'Answer' }).click();
    await question.getByText('This is required.').waitFor();
    await page.keyboard.type('<b>left</b>');
    await page.keyboard.press('Enter');
    await outcome(ask).getByText('The user answered: <b>left</b>').first().waitFor();
    await asked();
    await question.getByRole('button', { name: 'Decline' }).click();
    await outcome(ask).getByText('The user declined to answer.').first().waitFor();
    await asked();
    await page.keyboard.press('Escape');
    await outcome(ask).getByText('The user closed the question without an answer.').first().waitFor();
    assert.equal(await question.count(), 0);
    check();
  },

  async aCallShowsHowFarItIsAndIsCancelled(browser, base) {
    const { page, check } = await visit(browser, base);
    const count = await openTool(page, 'demo', 'count');
    await fill(count, 'to', '100000');
    await fill(count, 'intervalMs', '20');
    await count.getByRole('button', { name: 'Call' }).click();
    await count.locator('[data-progress]').getByText(/^[0-9]+ of 100,000/).waitFor();
    assert.equal((await status(base)).servers.demo.in_flight, 1);
    await count.locator('[data-cancel]').click();
    await outcome(count).getByText('Cancelled').waitFor();
    await eventually('the server has stopped', async () => (await status(base)).servers.demo.in_flight === 0);
    // The session goes on.
    await fill(count, 'to', '3');
    await count.getByRole('button', { name: 'Call' }).click();
    await outcome(count).getByText('Counted to 3.').first().waitFor();
    check();
  },

  async aToolIsCalledAfterAWhile(browser, base) {
    const { page, check } = await visit(browser, base);
    const add = await openTool(page, 'demo', 'add');
    await eventually('no session is left', async () => (await status(base)).servers.demo.sessions === 0);
    await fill(add, 'a', '3');
    await fill(add, 'b', '4');
    await add.getByRole('button', { name: 'Call' }).click();
    await outcome(add).getByText('7').first().waitFor();
    check();
  },

  async textFromServersIsNeverMarkup(browser, base) {
    const { page, check } = await visit(browser, base);
    await row(page, 'liar').getByText('<img src=x onerror=alert(1)>').waitFor();
    const evil = await openTool(page, 'puppet', '<img src=x onerror=alert(2)>');
    await evil.getByText('<script>alert(3)</script>').waitFor();
    await evil.getByText('<svg onload=alert(4)>').first().waitFor();
    // A sign that turns around what follows is seen, and turns nothing.
    await evil.getByText('[U+202E]', { exact: false }).first().waitFor();
    assert.ok(!(await page.locator('body').textContent()).includes('\u202e'));
    const told = { answer: { content: [{ type: 'text', text: '<iframe srcdoc="<script>alert(5)</script>">' }, { type: 'image', mimeType: 'image/png" onerror="alert(6)', data: 'AA==' }, { type: 'resource_link', uri: 'javascript:alert(7)', name: '<b>x</b>' }], structuredContent: { '</script>': '<script>alert(8)</script>' } } };
    await fill(evil, 'answer', JSON.stringify(told.answer));
    await evil.getByRole('button', { name: 'Call' }).click();
    await outcome(evil).getByText('<iframe srcdoc="<script>alert(5)</script>">').first().waitFor();
    await outcome(evil).getByText('javascript:alert(7)').first().waitFor();
    assert.equal(await page.locator('main').locator('img, script, iframe, a[href^="javascript"]').count(), 0);
    assert.equal(await page.locator('script').count(), 1, 'there is no script but the page itself');
    check();
  },

  async nothingIsShownWithoutAKey(browser, base) {
    const { page, context, check } = await visit(browser, base);
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    assert.ok(!(await page.content()).includes('data-mount="'), 'the page itself holds nothing');
    const enter = async key => {
      await page.getByLabel('Key or access token').fill(key);
      await page.keyboard.press('Enter');
    };
    await enter('not the key');
    await page.getByText('no spaces').waitFor();
    await enter('');
    await page.getByText('Enter a key.').waitFor();
    await enter('wrong');
    await eventually('the key is refused', async () => /\S/.test(await page.locator('.trouble').textContent()) && !(await page.getByText(/no spaces|Enter a key/).count()));
    assert.equal(await page.locator('[data-mount]').count(), 0);
    await enter('reader-key-0123456789');
    await row(page, 'demo').waitFor();
    assert.equal(await row(page, 'secret').count(), 0, 'what a key may not use, it does not show');
    // Another key may be shown; until it is, and where it is none, the one before holds.
    await page.getByRole('button', { name: 'I have a key' }).click();
    await page.getByText('you see more').waitFor();
    await enter('wrong');
    await page.getByText('is no longer valid').waitFor();
    await page.getByRole('button', { name: 'Without' }).click();
    await row(page, 'demo').waitFor();
    // A link shows no key, so what it leads to is shown here.
    await page.getByRole('link', { name: 'JSON' }).click();
    await page.getByRole('dialog').getByText('"api_last_activity"').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    const add = await openTool(page, 'demo', 'add');
    await fill(add, 'a', '20');
    await fill(add, 'b', '22');
    await add.getByRole('button', { name: 'Call' }).click();
    await outcome(add).getByText('42').first().waitFor();
    // The key stays in the tab, and in no other, and nowhere else.
    await page.reload();
    await page.getByRole('heading', { name: 'demo', exact: true }).waitFor();
    assert.ok(!page.url().includes('reader-key'));
    assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie]), [0, '']);
    const other = await context.newPage();
    await other.goto(`${base}/status`);
    await other.getByRole('heading', { name: 'Who are you?' }).waitFor();
    await page.getByRole('button', { name: 'Forget key' }).click();
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await enter('nobody-key-0123456789');
    await page.goto(`${base}/status#/`);
    await page.getByText('This key may use no server.').waitFor();
    assert.equal(await page.locator('[data-mount]').count(), 0, 'also not all of them together');
    await page.getByRole('button', { name: 'Forget key' }).click();
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    await enter('operator-key-0123456789');
    await page.goto(`${base}/status#/`);
    await row(page, 'secret').waitFor();
    check();
  },

  async aPhoneShowsEverythingWithoutScrollingSideways(browser, base) {
    const { page, check } = await visit(browser, base, { viewport: { width: 360, height: 740 } });
    const fits = async what => {
      const [wanted, there] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert.ok(wanted <= there, `${what} is ${wanted} wide on ${there}`);
    };
    await row(page, 'one').getByText('ready', { exact: true }).waitFor();
    await fits('the list');
    const count = await openTool(page, 'one', 'count');
    await fill(count, 'to', '2');
    await count.getByRole('button', { name: 'Call' }).click();
    await outcome(count).getByText('Counted to 2.').first().waitFor();
    await count.getByText('The whole result').click();
    await count.getByText('Input schema').click();
    await fits('a tool');
    for (const tab of ['Prompts', 'Resources', 'Traffic']) {
      await page.getByRole('tab', { name: tab }).click();
      await fits(tab);
    }
    check();
  },

  async theKeyboardIsEnough(browser, base) {
    const { page, check } = await visit(browser, base);
    const keys = page.keyboard;
    await row(page, 'demo').getByText('ready', { exact: true }).waitFor();
    const focused = () => page.evaluate(() => {
      const { tagName, textContent, dataset } = document.activeElement;
      const style = getComputedStyle(document.activeElement);
      return { tagName, text: textContent.trim(), item: dataset.item, outline: style.outlineStyle, width: parseFloat(style.outlineWidth) };
    });
    const tabTo = async (what, is) => {
      for (let steps = 0; steps < 60; steps += 1) {
        await keys.press('Tab');
        const now = await focused();
        assert.ok(now.tagName === 'BODY' || (now.outline !== 'none' && now.width > 0), `the focus shows at ${JSON.stringify(now)}`);
        if (is(now)) return now;
      }
      return assert.fail(`the keyboard does not reach ${what}`);
    };
    await tabTo('the skip link', ({ text }) => text === 'Skip to the content');
    await keys.press('Enter');
    await tabTo('the server', ({ tagName, text }) => tagName === 'A' && text === 'demo');
    await keys.press('Enter');
    await page.getByRole('heading', { name: 'demo', exact: true }).waitFor();
    await page.locator('[data-item=echo]').waitFor();
    assert.equal((await focused()).text, 'demo', 'the heading of the new page is read');
    await tabTo('the tabs', ({ text }) => text === 'Tools');
    await keys.press('ArrowRight');
    assert.equal((await focused()).text, 'Prompts');
    await keys.press('ArrowLeft');
    await keys.press('/');
    await keys.type('count');
    await tabTo('the tool', ({ item }) => item === 'count');
    await keys.press('Enter');
    await tabTo('a field', ({ tagName }) => tagName === 'INPUT');
    await keys.type('1');
    await tabTo('the next field', ({ tagName }) => tagName === 'INPUT');
    await keys.type('4');
    await keys.press('Enter');
    await outcome(page.locator('[role=tabpanel]:not([hidden])')).getByText('Counted to 4.').first().waitFor();
    await keys.press('Escape');
    await keys.press('Escape');
    await row(page, 'demo').waitFor();
    check();
  },

  async behindAProxyWithAPrefixEverythingIsFound(browser, base) {
    const proxy = http.createServer((request, answer) => {
      if (!request.url.startsWith('/tools/')) return answer.writeHead(404).end();
      const { host, ...headers } = request.headers;
      const options = { method: request.method, headers: { ...headers, host, 'x-forwarded-prefix': '/tools' } };
      const onward = http.request(`${base}${request.url.slice('/tools'.length)}`, options, response => {
        answer.writeHead(response.statusCode, response.headers);
        response.pipe(answer);
      });
      onward.on('error', () => answer.destroy());
      answer.on('close', () => onward.destroy());
      return request.pipe(onward);
    });
    await new Promise(resolve => proxy.listen(0, '127.0.0.1', resolve));
    const outside = `http://127.0.0.1:${proxy.address().port}`;
    const { page, check } = await visit(browser, outside, { path: '/tools/status/' });
    const add = await openTool(page, 'demo', 'add');
    await fill(add, 'a', '1');
    await fill(add, 'b', '1');
    await add.getByRole('button', { name: 'Call' }).click();
    await outcome(add).getByText('Done').waitFor();
    await page.getByText(`${outside}/tools/servers/demo/mcp`).waitFor();
    await page.goto(`${outside}/tools/status#/all`);
    await page.getByText(`${outside}/tools/mcp`).waitFor();
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.locator('[data-item=demo__add]').waitFor();
    check();
    proxy.close();
    proxy.closeAllConnections();
  },

  async lookingStartsNothing(browser, base) {
    const { page, check } = await visit(browser, base, { hash: '#/server/lazy' });
    await page.getByText('It does not run now.').waitFor();
    await eventually('the page has looked twice', async () => /[2-9]|\d\d/.test((await page.locator('#facts').textContent()).match(/up (\d+)/)?.[1] ?? ''));
    assert.deepEqual((await status(base)).servers.lazy.pids, []);
    // All of them together are always ready, and who is asked what they offer asks each.
    await page.goto(`${base}/status#/all`);
    await page.getByText('Connecting starts the servers that do not run').waitFor();
    await looksTwice(page);
    assert.deepEqual((await status(base)).servers.lazy.pids, []);
    assert.equal((await status(base)).aggregate.sessions, 0);
    assert.equal(await page.locator('[data-fact=pids], [data-fact=restarts], [data-fact=exit], [data-fact=sandbox]').count(), 0, 'it has no processes to speak of');
    await page.getByRole('button', { name: 'Connect' }).click();
    await page.locator('[data-item=lazy__echo]').waitFor();
    await page.goto(`${base}/status#/server/lazy`);
    await page.locator('[data-item=echo], button:text("Connect"):visible').first().waitFor();
    if (!(await page.locator('[data-item=echo]').count())) await page.getByRole('button', { name: 'Connect' }).click();
    await page.locator('[data-item=echo]').waitFor();
    check();
  },

  async whatOperatorsWatchIsShown(browser, base) {
    const event = { at: '2026-01-02T03:04:05Z', server: 'demo', kind: 'crashed', text: '<b>killed</b> by signal 9' };
    const message = (n, more) => ({ at: '2026-01-02T03:04:05.678Z', server: 'demo', session: 'a1b2', from: 'client', kind: 'request', method: 'tools/call', bytes: 70, message: JSON.stringify({ jsonrpc: '2.0', id: n, method: 'tools/call', params: { name: `tool-${n}` } }), cut: false, ...more });
    const messages = [message(1), message(2, { from: 'server', kind: 'response', method: null, message: '{"jsonrpc":"2.0","id":1,"result":{"needle":"<i>"}}' }), message(3, { kind: 'notification', method: 'notifications/x', message: '{"cut', cut: true })];
    const stream = items => items.map(item => `data: ${JSON.stringify(item)}\n\n`).join('');
    const answers = { events: stream([event]), traffic: stream(messages) };
    const before = page => page.route('**/admin/**', (route, request) => {
      const what = request.url().includes('/admin/events') ? 'events' : 'traffic';
      const body = answers[what];
      answers[what] = undefined;
      // A second look waits: nothing new happens.
      return body === undefined ? undefined : route.fulfill({ contentType: 'text/event-stream', body });
    });
    const { page, check } = await visit(browser, base, { before });
    await page.locator('[data-events] li').getByText('<b>killed</b> by signal 9').waitFor();
    await row(page, 'demo').getByRole('link').click();
    await page.getByRole('tab', { name: 'Traffic' }).click();
    const list = page.locator('[data-traffic] > li');
    await eventually('all messages are there', async () => (await list.count()) === 3);
    await page.getByRole('tabpanel').getByPlaceholder('Filter messages').fill('needle');
    await eventually('one is found', async () => (await list.count()) === 1);
    await list.getByRole('button').first().click();
    assert.match(await list.locator('pre').textContent(), /"needle": "<i>"/);
    await page.getByRole('tabpanel').getByPlaceholder('Filter messages').fill('');
    await page.getByLabel('Direction').selectOption('server');
    await eventually('what the server said is left', async () => (await list.count()) === 1);
    await page.getByLabel('Direction').selectOption('');
    await page.getByLabel('Kind').selectOption('notification');
    await eventually('the notification is left', async () => (await list.count()) === 1);
    await page.getByRole('button', { name: 'Clear' }).click();
    await page.getByText('No message yet.').waitFor();
    check();
  },

  async aMessageIsFoundAndACrashIsHeardOf(browser, base) {
    const { page, check } = await visit(browser, base, { hash: '#/server/demo' });
    await page.getByRole('tab', { name: 'Traffic' }).click();
    await page.getByRole('tabpanel').getByPlaceholder('Filter messages').fill('in-the-hay');
    const client = await session(base, 'demo');
    const list = page.locator('[data-traffic] > li');
    await eventually('the request and its answer are found', async () => {
      await client.call('tools/call', { name: 'echo', arguments: { text: 'a-needle-in-the-hay' } });
      return (await list.count()) >= 2;
    });
    await page.getByLabel('Direction').selectOption('server');
    await list.getByRole('button').first().click();
    assert.match(await list.locator('pre').first().textContent(), /"text": "a-needle-in-the-hay"/);
    await client.call('tools/call', { name: 'crash', arguments: {} }).catch(() => {});
    await page.getByRole('link', { name: 'All servers' }).click();
    await page.locator('[data-events] li').filter({ hasText: 'crashed' }).filter({ hasText: 'demo' }).first().waitFor();
    check();
  },

  async whoMayNotWatchIsTold(browser, base) {
    const answers = { events: 403, traffic: 409 };
    const before = page => page.route('**/admin/**', (route, request) => {
      const what = request.url().includes('/admin/events') ? 'events' : 'traffic';
      return route.fulfill({ status: answers[what], contentType: 'application/json', body: '{"error":{"message":"no"}}' });
    });
    let [looks, held] = [0, undefined];
    const { page, check } = await visit(browser, base, {
      before: async page => {
        await page.clock.install();
        page.on('request', request => (looks += /format=json/.test(request.url())));
        await page.route('**/status?format=json', route => (held ? held(route) : route.continue()));
        await before(page);
      },
    });
    await page.getByText('Events are shown to operators only.').waitFor();
    // Whoever has a key can show it, though the router asks for none, and has time for it: also while somebody looks.
    const underWay = new Promise(resolve => (held = resolve));
    await page.clock.runFor(1000);
    await underWay;
    await page.getByRole('button', { name: 'I have a key' }).click();
    await page.getByLabel('Key or access token').fill('half a k');
    held = undefined;
    await (await underWay).continue().catch(() => {});
    const looked = looks;
    await page.clock.runFor(5000);
    await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    assert.equal(looks, looked, 'nobody looks while a key is asked for');
    assert.equal(await page.getByLabel('Key or access token').inputValue(), 'half a k');
    await page.getByRole('button', { name: 'Without' }).click();
    await page.getByRole('button', { name: 'I have a key' }).click();
    const [asked] = await Promise.all([page.waitForRequest(request => request.url().includes('/admin/events')), page.getByLabel('Key or access token').fill('operator-key').then(() => page.keyboard.press('Enter'))]);
    assert.equal(await asked.headerValue('authorization'), 'Bearer operator-key');
    await row(page, 'demo').getByRole('link').click();
    await page.getByRole('tab', { name: 'Traffic' }).click();
    await page.getByText('The traffic view is off.').waitFor();
    await page.getByText('--traffic').waitFor();
    check();
  },
};

/** Waits until the page has shown what two looks have found. */
async function looksTwice(page) {
  for (let looks = 0; looks < 2; looks += 1) await page.waitForResponse(response => response.url().includes('format=json'));
}

async function chooseTool(page, tool) {
  await page.locator(`[data-item="${tool}"]`).click();
  return page.locator('[role=tabpanel]:not([hidden]) .offer');
}

const [story, base] = process.argv.slice(2);
assert.ok(stories[story], `there is no story ${story}`);
const browser = await launch();
try {
  await stories[story](browser, base);
  console.log(`ok ${story}`);
} finally {
  await browser.close();
}

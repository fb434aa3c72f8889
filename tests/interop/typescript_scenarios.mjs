// What a TypeScript client is made to do, whatever its SDK's version; see `main` for the command line.

import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { Line } from './line.mjs';

const capabilities = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
const roots = { roots: [{ uri: 'file:///somewhere', name: 'somewhere' }] };

// Each server is a mount, or a view of the aggregate.
const FOLDER = process.env.INTEROP_FOLDER ?? 'servers';

// The first text of a tool's result, which must not be an error.
function text(result) {
  assert.ok(!result.isError, JSON.stringify(result));
  return result.content[0].text;
}

// A name that nobody else uses: modern clients share a process, in which what one does stays.
function fresh() {
  return `n${randomUUID()}`;
}

// What the server said unasked, in order.
class Inbox {
  messages = [];
  #waiting = [];

  add(message) {
    this.messages.push(message);
    this.#waiting.splice(0).forEach(wake => wake());
  }

  next() {
    return new Promise(wake => this.#waiting.push(wake));
  }

  having(method, fits = () => true) {
    return this.messages.filter(message => message.method === method && fits(message.params));
  }

  // Waits for `count` messages of that method whose params fit.
  async until(method, fits, count = 1) {
    while (this.having(method, fits).length < count) {
      await this.next();
    }
  }
}

// How the client answers what the server asks.
class Answers {
  // Nobody can tell a modern client that its answer is no longer wanted.
  patience = Infinity;

  constructor() {
    this.withdrawn = new Promise(resolve => (this.withdraw = resolve));
  }

  async sample(params, signal) {
    const content = params.messages[0].content;
    const question = (Array.isArray(content) ? content[0] : content).text;
    if (question === 'too late?') {
      await new Promise(resolve => {
        signal?.addEventListener('abort', resolve);
        if (this.patience < Infinity) setTimeout(resolve, this.patience);
      });
      this.withdraw();
    }
    return { role: 'assistant', model: 'shout', content: { type: 'text', text: question.toUpperCase() } };
  }

  elicit() {
    return { action: 'accept', content: { name: 'Ada', check: true } };
  }

  roots() {
    return roots;
  }
}

// Every entry is a scenario; `open(mount, options)` gives a connected client with its inbox and answers.
const scenarios = {
  async tools(open) {
    const { client } = await open('everything');
    const names = (await client.listTools()).tools.map(tool => tool.name);
    assert.ok(names.includes('echo') && names.includes('get-sum'), names.join());
    const sum = await client.callTool({ name: 'get-sum', arguments: { a: 2, b: 40 } });
    assert.equal(text(sum), 'The sum of 2 and 40 is 42.');
    const weather = await client.callTool({ name: 'get-structured-content', arguments: { location: 'Chicago' } });
    assert.equal(weather.structuredContent.temperature, 36);
    const image = await client.callTool({ name: 'get-tiny-image' });
    assert.deepEqual(image.content.map(part => part.type), ['text', 'image', 'text']);
  },

  async unicode(open) {
    const { client } = await open('everything');
    const message = 'café ✓ 日本語 🎉 \u2028\u2029\x7f \\u0041 "quoted"\r\n\tend';
    assert.equal(text(await client.callTool({ name: 'echo', arguments: { message } })), `Echo: ${message}`);
  },

  async concurrency(open) {
    const { client } = await open('everything');
    const echo = async message =>
      assert.equal(text(await client.callTool({ name: 'echo', arguments: { message } })), `Echo: ${message}`);
    await Promise.all(Array.from({ length: 20 }, (_, number) => echo(`number ${number}`)));
  },

  async resources(open) {
    const { client } = await open('everything');
    const { resources } = await client.listResources();
    const { uri } = resources.find(resource => resource.uri.endsWith('/architecture.md'));
    assert.match((await client.readResource({ uri })).contents[0].text, /Everything/);
    const templates = (await client.listResourceTemplates()).resourceTemplates.map(template => template.uriTemplate);
    assert.ok(templates.includes('demo://resource/dynamic/blob/{resourceId}'), templates.join());
    const { contents } = await client.readResource({ uri: 'demo://resource/dynamic/blob/7' });
    assert.ok(contents[0].blob, JSON.stringify(contents));
  },

  async subscription(open) {
    const { client, inbox, subscribe, unsubscribe } = await open('everything');
    const uri = 'demo://resource/dynamic/text/1';
    await subscribe(uri);
    // Modern clients share a process, so somebody else may have switched the updates on already.
    while (/^Stopped/.test(text(await client.callTool({ name: 'toggle-subscriber-updates' }))));
    await inbox.until('notifications/resources/updated', params => params.uri === uri);
    await unsubscribe(uri);
  },

  async prompts(open) {
    const { client } = await open('everything');
    const names = (await client.listPrompts()).prompts.map(prompt => prompt.name);
    assert.ok(names.includes('simple-prompt'), names.join());
    const { messages } = await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Berlin' } });
    assert.match(messages[0].content.text, /Berlin/);
  },

  async completion(open) {
    const { client } = await open('everything');
    const ref = { type: 'ref/prompt', name: 'completable-prompt' };
    const { completion } = await client.complete({ ref, argument: { name: 'department', value: 'E' } });
    assert.deepEqual(completion.values, ['Engineering']);
  },

  async logging(open) {
    const { client, inbox } = await open('everything');
    const [loud, quiet] = ['demo://resource/dynamic/text/1', 'demo://resource/dynamic/text/2'];
    await client.setLoggingLevel('debug');
    await client.subscribeResource({ uri: loud });
    await inbox.until('notifications/message', params => params.level === 'info' && params.data.includes(loud));
    await client.setLoggingLevel('error');
    await client.subscribeResource({ uri: quiet });
    await client.ping();
    assert.deepEqual(inbox.having('notifications/message', params => params.data.includes(quiet)), []);
  },

  async progress(open) {
    const { call } = await open('odd-jobs');
    const seen = [];
    const onprogress = report => seen.push(report);
    const result = await call({ name: 'count', arguments: { to: 200 } }, { onprogress });
    assert.equal(text(result), 'counted to 200');
    assert.deepEqual(seen, reports(1, 200));
  },

  async cancellation(open) {
    const { client, call } = await open('odd-jobs');
    const control = new AbortController();
    const onprogress = () => control.abort('changed my mind');
    const args = { name: fresh() };
    await assert.rejects(call({ name: 'hang', arguments: args }, { signal: control.signal, onprogress }));
    assert.equal(text(await client.callTool({ name: 'await_cancellation', arguments: args })), 'hang was cancelled');
  },

  async withdrawal(open) {
    const { client, answers } = await open('odd-jobs');
    assert.match(text(await client.callTool({ name: 'give_up' })), /^gave up/);
    await answers.withdrawn;
  },

  async sampling(open) {
    const { client } = await open('everything');
    const result = await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'louder' } });
    assert.match(text(result), /CONTEXT: LOUDER/);
  },

  async elicitation(open) {
    const { client } = await open('everything');
    const result = await client.callTool({ name: 'trigger-elicitation-request' });
    assert.match(JSON.stringify(result.content), /Ada/);
  },

  async roots(open) {
    const { client, inbox } = await open('everything');
    // The server asks by itself and logs the answer; then again when it is told of a change.
    const isAnswer = params => /1 root\(s\) received/.test(params.data);
    await inbox.until('notifications/message', isAnswer);
    assert.match(text(await client.callTool({ name: 'get-roots-list' })), /file:\/\/\/somewhere/);
    await client.sendRootsListChanged();
    await inbox.until('notifications/message', isAnswer, 2);
  },

  async asked_roots(open) {
    const { client } = await open('everything');
    assert.match(text(await client.callTool({ name: 'get-roots-list' })), /file:\/\/\/somewhere/);
  },

  // A modern client answers a question that the server has withdrawn: the call has gone on without.
  async late_answer(open) {
    const { client, answers } = await open('odd-jobs');
    answers.patience = 1000;
    assert.match(text(await client.callTool({ name: 'give_up' })), /^gave up/);
  },

  async log_lines(open) {
    const { call, inbox, setLevel } = await open('odd-jobs');
    const line = fresh();
    const said = level => inbox.until('notifications/message', params => params.data === `${level}: ${line}`);
    await setLevel('warning');
    await call({ name: 'log', arguments: { line } });
    await said('error');
    const levels = inbox.having('notifications/message').map(message => message.params.level);
    assert.deepEqual(levels, ['warning', 'error']);
    await setLevel('debug');
    await call({ name: 'log', arguments: { line } });
    await said('debug');
  },

  async ping(open) {
    const { client } = await open('odd-jobs');
    await client.ping();
    assert.equal(text(await client.callTool({ name: 'ping_client' })), 'the client answered');
  },

  async list_changed(open) {
    const { client, inbox, hearChanges } = await open('odd-jobs');
    await hearChanges();
    const name = fresh();
    const before = (await client.listTools()).tools.map(tool => tool.name);
    assert.ok(!before.includes(name), before.join());
    await client.callTool({ name: 'grow', arguments: { name } });
    for (const kind of ['tools', 'prompts', 'resources']) {
      await inbox.until(`notifications/${kind}/list_changed`);
    }
    const names = (await client.listTools()).tools.map(tool => tool.name);
    assert.ok(names.includes(name), names.join());
    assert.equal(text(await client.callTool({ name })), 'new');
  },

  async errors(open) {
    const { client } = await open('everything');
    await assert.rejects(client.readResource({ uri: 'demo://resource/nowhere' }), { code: -32602, message: /nowhere/ });
    const failed = await client.callTool({ name: 'get-sum', arguments: { a: 'one', b: 2 } });
    assert.ok(failed.isError && failed.content[0].text.includes('expected number'), JSON.stringify(failed));
    assert.equal(text(await client.callTool({ name: 'echo', arguments: { message: 'on' } })), 'Echo: on');
  },

  // Two clients of one mount have a process each and hear nothing of each other.
  async privacy(open) {
    const [ada, bob] = await Promise.all([open('odd-jobs'), open('odd-jobs')]);
    const pid = async ({ client }) => text(await client.callTool({ name: 'pid' }));
    assert.notEqual(await pid(ada), await pid(bob));
    await Promise.all([count(ada, 50), count(bob, 30)]);
    await ada.client.callTool({ name: 'grow', arguments: { name: 'new_tool' } });
    await ada.inbox.until('notifications/tools/list_changed');
    await bob.client.listTools();
    assert.deepEqual(bob.inbox.having('notifications/tools/list_changed'), []);
  },

  // Two clients who may well share a process hear what they asked for, and nothing of each other.
  async discretion(open) {
    const both = await Promise.all([open('odd-jobs'), open('odd-jobs')]);
    const [ada, bob] = both;
    await Promise.all([count(ada, 50), count(bob, 30)]);

    const line = fresh();
    await Promise.all(both.map(client => client.setLevel('debug')));
    await ada.call({ name: 'log', arguments: { line: `ada ${line}` } });
    await bob.call({ name: 'log', arguments: { line: `bob ${line}` } });

    const [method, uris] = ['notifications/resources/updated', [`odd://ada/${line}`, `odd://bob/${line}`]];
    await Promise.all(both.map((client, index) => client.subscribe(uris[index])));
    for (const { call } of both) {
      for (const uri of uris) await call({ name: 'touch', arguments: { uri } });
    }
    for (const [index, { inbox }] of both.entries()) {
      await inbox.until(method, ({ uri }) => uri === uris[index]);
      assert.deepEqual(inbox.having(method, ({ uri }) => uri !== uris[index]), []);
    }
    assert.ok(!JSON.stringify(ada.inbox.messages).includes(`bob ${line}`));
    assert.ok(!JSON.stringify(bob.inbox.messages).includes(`ada ${line}`));
  },

  async time(open) {
    const { client } = await open('time');
    const time = timezone => client.callTool({ name: 'get_current_time', arguments: { timezone } });
    assert.match(text(await time('Europe/Berlin')), /Europe\/Berlin/);
    assert.ok((await time('Nowhere/Land')).isError);
  },

  async fetch(open) {
    const { client } = await open('fetch');
    const page = await client.callTool({ name: 'fetch', arguments: { url: process.env.INTEROP_PAGE } });
    assert.match(text(page), /switchboard of Zürich/);
  },

  async filesystem(open) {
    const { client } = await open('filesystem');
    const path = join(process.env.INTEROP_DIRECTORY, `note-${process.pid}.txt`);
    await client.callTool({ name: 'write_file', arguments: { path, content: 'grüße\n' } });
    assert.equal(await readFile(path, 'utf8'), 'grüße\n');
    assert.equal(text(await client.callTool({ name: 'read_text_file', arguments: { path } })), 'grüße\n');
    assert.ok((await client.callTool({ name: 'read_text_file', arguments: { path: '/etc/passwd' } })).isError);
  },

  async big(open) {
    const { client } = await open('filesystem');
    const path = join(process.env.INTEROP_DIRECTORY, 'big.txt');
    const digest = data => createHash('sha256').update(data).digest('hex');
    const read = text(await client.callTool({ name: 'read_text_file', arguments: { path } }));
    assert.equal(digest(read), digest(await readFile(path)));
  },

  // Streamable HTTP: after DELETE the session's id is no longer known.
  async termination(open) {
    const { client } = await open('odd-jobs');
    await client.ping();
    const { sessionId } = client.transport;
    assert.match(sessionId, /^[!-~]+$/);
    await client.transport.terminateSession();
    const { client: late } = await open('odd-jobs', { sessionId });
    await assert.rejects(late.ping(), error => (error.code === 404 || error.status === 404));
  },

  // Streamable HTTP: what the server says while the GET stream is lost arrives on the next one, once.
  async reconnection(open) {
    const line = new Line();
    const { inbox, call, subscribe } = await open('odd-jobs', { fetch: line.fetch, reconnectionOptions: promptly });
    const touch = async uri => {
      await subscribe(uri);
      await call({ name: 'touch', arguments: { uri } });
    };
    const touched = uri => inbox.until('notifications/resources/updated', params => params.uri === uri);
    await line.opened('GET');
    await touch('odd://before');
    await touched('odd://before');
    line.swallow('GET');
    await touch('odd://meanwhile');
    line.cut('GET');
    await touched('odd://meanwhile');
    await touch('odd://after');
    await touched('odd://after');
    const uris = inbox.having('notifications/resources/updated').map(message => message.params.uri);
    assert.deepEqual(uris, ['odd://before', 'odd://meanwhile', 'odd://after']);
    assert.equal(line.resumptions, 1);
  },

  // Streamable HTTP: a call whose stream is lost goes on where it was, nothing lost and nothing twice.
  async resumption(open) {
    const line = new Line();
    const { call } = await open('odd-jobs', { fetch: line.fetch, reconnectionOptions: promptly });
    const seen = [];
    const onprogress = report => {
      seen.push(report);
      if (report.progress === 20) line.cut('POST');
    };
    assert.equal(text(await call({ name: 'count', arguments: { to: 200 } }, { onprogress })), 'counted to 200');
    assert.deepEqual(seen, reports(1, 200));
    assert.equal(line.resumptions, 1);
  },

  // Streamable HTTP: another client object gets the answer, by the session's id and the last event's.
  async takeover(open) {
    const line = new Line();
    const { client, call } = await open('odd-jobs', { fetch: line.fetch, reconnectionOptions: never });
    let token;
    await new Promise((resolve, reject) => {
      const onresumptiontoken = latest => (token = latest);
      const onprogress = () => resolve(line.cut('POST'));
      call({ name: 'count', arguments: { to: 5 } }, { onresumptiontoken, onprogress }).then(reject, () => {});
    });
    const { sessionId, protocolVersion } = client.transport;
    await client.close();
    const heir = await open('odd-jobs', { sessionId });
    heir.client.transport.setProtocolVersion(protocolVersion);
    const answer = await heir.call({ name: 'count', arguments: { to: 5 } }, { resumptionToken: token });
    assert.equal(text(answer), 'counted to 5');
  },
};

const promptly = { initialReconnectionDelay: 10, maxReconnectionDelay: 100, reconnectionDelayGrowFactor: 2, maxRetries: 5 };
const never = { ...promptly, maxRetries: 0 };

async function count({ call }, to) {
  const seen = [];
  const onprogress = report => seen.push(report);
  assert.equal(text(await call({ name: 'count', arguments: { to } }, { onprogress })), `counted to ${to}`);
  assert.deepEqual(seen, reports(1, to));
}

function reports(from, to) {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    const progress = from + index;
    return { progress, total: to, message: `${progress} of ${to}` };
  });
}

// Runs the scenarios named on the command line: TRANSPORT BASE SCENARIO... BASE is the router's
// address. With the transport `stdio` it is the router's configuration file and the servers are
// started directly: what fails there is not the router's fault.
export async function main(connect) {
  const [transport, base, ...names] = process.argv.slice(2);
  const mounts = transport.startsWith('stdio') && JSON.parse(await readFile(base, 'utf8')).mcpServers;
  const target = mount =>
    mounts ? mounts[mount] : `${base}/${FOLDER}/${mount}/${transport.startsWith('sse') ? 'sse' : 'mcp'}`;
  for (const name of names) {
    await run(name, (mount, session) => connect(transport, target(mount), session));
  }
}

async function run(name, connect) {
  const opened = [];
  const open = async (mount, options) => {
    const session = { inbox: new Inbox(), answers: new Answers(), capabilities, options };
    Object.assign(session, await connect(mount, session));
    session.subscribe ??= uri => session.client.subscribeResource({ uri });
    session.unsubscribe ??= uri => session.client.unsubscribeResource({ uri });
    session.setLevel ??= level => session.client.setLoggingLevel(level);
    // A legacy client hears of every change.
    session.hearChanges ??= async () => {};
    opened.push(session.client);
    return session;
  };
  const began = performance.now();
  const seconds = () => `(${((performance.now() - began) / 1000).toFixed(2)} s)`;
  try {
    await Promise.race([scenarios[name](open), deadline(60_000)]);
    console.log(`ok ${name} ${seconds()}`);
  } catch (error) {
    console.log(`FAILED ${name} ${seconds()}`);
    console.error(error);
    process.exitCode = 1;
  }
  await Promise.all(opened.map(client => client.close()));
}

function deadline(milliseconds) {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`not done in ${milliseconds} ms`)), milliseconds).unref();
  });
}

// Stands in for the servers everything and odd-jobs, as far as the scenarios use them, in the era that is wanted.
// Usage: node two_eras.mjs --posture legacy|dual|modern [--port PORT]
// With a port it listens there for Streamable HTTP, in the modern era alone.

import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import {
  completable,
  createMcpHandler,
  inputRequired,
  inputResponse,
  McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import { serveStdio, StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import * as z from 'zod';

const { posture, port } = parseArgs({ options: { posture: { type: 'string' }, port: { type: 'string' } } }).values;
const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const text = value => ({ content: [{ type: 'text', text: String(value) }] });
const said = text => ({ messages: [{ role: 'user', content: { type: 'text', text } }] });
const read = uri => ({ contents: [{ uri: uri.href, text: 'Everything in one place' }] });

// Over HTTP each request has a server object of its own: this is what they have in common.
const handler = port && createMcpHandler(factory, { legacy: 'reject' });
const grown = [];

function factory({ era }) {
  const capabilities = { logging: {}, resources: { subscribe: true, listChanged: true } };
  const server = new McpServer({ name: 'two-eras', version: '1.0.0' }, { capabilities });
  const tool = (name, inputs, answer, more) =>
    server.registerTool(name, { inputSchema: z.object(inputs), ...more }, answer);

  tool('echo', { message: z.string() }, ({ message }) => text(`Echo: ${message}`));
  tool('get-sum', { a: z.number(), b: z.number() }, ({ a, b }) => text(`The sum of ${a} and ${b} is ${a + b}.`));
  tool('get-tiny-image', {}, () => {
    const image = { type: 'image', data: pixel, mimeType: 'image/png' };
    return { content: [{ type: 'text', text: 'before' }, image, { type: 'text', text: 'after' }] };
  });
  const weather = { temperature: 36 };
  tool(
    'get-structured-content',
    { location: z.string() },
    () => ({ ...text(JSON.stringify(weather)), structuredContent: weather }),
    { outputSchema: z.object({ temperature: z.number() }) },
  );

  tool('count', { to: z.number() }, async ({ to }, { mcpReq }) => {
    for (let progress = 1; progress <= to; progress++) {
      await report(mcpReq, { progress, total: to, message: `${progress} of ${to}` });
    }
    // The TypeScript clients drop a report that they read together with the answer.
    await new Promise(resolve => setTimeout(resolve, 200));
    return text(`counted to ${to}`);
  });
  tool('log', { line: z.string() }, async ({ line }, { mcpReq }) => {
    for (const level of ['debug', 'warning', 'error']) await mcpReq.log(level, `${level}: ${line}`);
    return text('logged');
  });
  tool('hang', { name: z.string() }, async ({ name }, { mcpReq }) => {
    await report(mcpReq, { progress: 1 });
    await aborted(mcpReq.signal);
    await writeFile(note(name), '');
    return text('never seen');
  });
  tool('await_cancellation', { name: z.string() }, async ({ name }) => {
    while (!existsSync(note(name))) await new Promise(resolve => setTimeout(resolve, 10));
    await rm(note(name));
    return text('hang was cancelled');
  });

  // Asks what `question` makes of the arguments, and tells what was answered.
  const asking = (name, inputs, question) =>
    tool(name, inputs, (given, { mcpReq }) => {
      const { kind, ...answer } = inputResponse(mcpReq.inputResponses, 'question');
      if (kind !== 'missing') return text(JSON.stringify(answer));
      return inputRequired({ inputRequests: { question: question(given) }, requestState: 'asked' });
    });
  asking('trigger-sampling-request', { prompt: z.string() }, ({ prompt }) => {
    const content = { type: 'text', text: `context: ${prompt}` };
    return inputRequired.createMessage({ messages: [{ role: 'user', content }], maxTokens: 9 });
  });
  const requestedSchema = z.object({ name: z.string(), check: z.boolean().optional() });
  asking('trigger-elicitation-request', {}, () => inputRequired.elicit({ message: 'Who are you?', requestedSchema }));
  asking('get-roots-list', {}, () => inputRequired.listRoots());

  // The SDK keeps the subscriptions of the modern era itself.
  const wanted = new Set();
  server.server.setRequestHandler('resources/subscribe', ({ params }) => (wanted.add(params.uri), {}));
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => (wanted.delete(params.uri), {}));
  const touch = async ({ uri }) => {
    if (handler) handler.notify.resourceUpdated(uri);
    else if (era === 'modern' || wanted.has(uri)) await server.server.sendResourceUpdated({ uri });
    return text('touched');
  };
  tool('touch', { uri: z.string() }, touch);
  tool('toggle-subscriber-updates', {}, () => touch({ uri: 'demo://resource/dynamic/text/1' }));
  const add = name => {
    tool(name, {}, () => text('new'));
    server.registerPrompt(name, {}, () => said('new'));
    server.registerResource(name, `demo://${name}`, {}, read);
  };
  grown.forEach(add);
  tool('grow', { name: z.string() }, ({ name }) => {
    grown.push(name);
    if (handler) ['tools', 'prompts', 'resources'].forEach(kind => handler.notify[`${kind}Changed`]());
    else add(name);
    return text('grown');
  });

  server.registerPrompt('simple-prompt', {}, () => said('simple'));
  const city = z.object({ city: z.string() });
  server.registerPrompt('args-prompt', { argsSchema: city }, ({ city }) => said(`Weather in ${city}?`));
  const complete = start => ['Engineering', 'Sales', 'Support'].filter(name => name.startsWith(start));
  const department = z.object({ department: completable(z.string(), complete) });
  server.registerPrompt('completable-prompt', { argsSchema: department }, ({ department }) => said(department));

  server.registerResource('document', 'demo://resource/static/architecture.md', {}, read);
  server.registerResource(
    'blob',
    new ResourceTemplate('demo://resource/dynamic/blob/{resourceId}', { list: undefined }),
    {},
    uri => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', blob: btoa(uri.href) }] }),
  );
  return server;
}

function report(request, params) {
  const { progressToken } = request._meta ?? {};
  return request.notify({ method: 'notifications/progress', params: { progressToken, ...params } });
}

function aborted(signal) {
  return new Promise(resolve => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));
}

// Where it is noted that a call was cancelled: the processes of modern clients change.
const note = name => join(tmpdir(), `interop-${name}`);

// Serves HTTP with what the SDK makes of a request.
async function answer(incoming, outgoing) {
  const gone = new AbortController();
  outgoing.on('close', () => gone.abort());
  const { method, headers, url } = incoming;
  const body = method === 'POST' ? Readable.toWeb(incoming) : undefined;
  const options = { method, headers, body, duplex: 'half', signal: gone.signal };
  const response = await handler.fetch(new Request(new URL(url, `http://${headers.host}`), options));
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  for await (const chunk of response.body ?? []) outgoing.write(chunk);
  outgoing.end();
}

if (handler) {
  const server = createServer((incoming, outgoing) => answer(incoming, outgoing).catch(() => outgoing.destroy()));
  server.keepAliveTimeout = 120_000;
  server.listen(port, '127.0.0.1');
} else if (posture === 'legacy') {
  // A server of this SDK that is connected by hand only speaks the legacy era.
  await factory({ era: 'legacy' }).connect(new StdioServerTransport());
} else {
  serveStdio(factory, { legacy: posture === 'modern' ? 'reject' : 'serve' });
}

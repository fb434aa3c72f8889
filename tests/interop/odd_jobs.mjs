// A stdio server on the TypeScript SDK 2.x for what no stock server does: it asks and gives up,
// pings its client, counts without a pause, and says whether a call was cancelled. Connected by hand,
// as here, a server of this SDK only speaks the legacy era.

import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpServer } from '@modelcontextprotocol/server';
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import * as z from 'zod';

const text = value => ({ content: [{ type: 'text', text: String(value) }] });

const capabilities = { logging: {}, resources: { subscribe: true, listChanged: true } };
const server = new McpServer({ name: 'odd-jobs', version: '1.0.0' }, { capabilities });

server.registerTool('pid', { description: 'The process that answers' }, () => text(process.pid));

server.registerTool(
  'count',
  { description: 'Reports every number up to `to`, then ends', inputSchema: z.object({ to: z.number() }) },
  async ({ to }, context) => {
    const progressToken = context.mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= to; progress++) {
      await context.mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken, progress, total: to, message: `${progress} of ${to}` },
      });
    }
    // The TypeScript clients drop a report that they read together with the answer.
    await new Promise(resolve => setTimeout(resolve, 200));
    return text(`counted to ${to}`);
  },
);

const named = { inputSchema: z.object({ name: z.string() }) };

server.registerTool(
  'hang',
  { description: 'Says that it runs, ends only by being cancelled', ...named },
  async ({ name }, context) => {
    const progressToken = context.mcpReq._meta?.progressToken;
    await context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1 } });
    await aborted(context.mcpReq.signal);
    await writeFile(note(name), '');
    return text('never seen');
  },
);

server.registerTool('await_cancellation', { description: 'Ends when `hang` was cancelled', ...named }, async ({ name }) => {
  while (!existsSync(note(name))) await new Promise(resolve => setTimeout(resolve, 10));
  await rm(note(name));
  return text('hang was cancelled');
});

server.registerTool('ping_client', { description: 'Pings the client' }, async context => {
  await context.mcpReq.send({ method: 'ping' });
  return text('the client answered');
});

server.registerTool('give_up', { description: 'Asks for a sample and withdraws the question' }, async context => {
  const question = { messages: [{ role: 'user', content: { type: 'text', text: 'too late?' } }], maxTokens: 1 };
  // Clients on the TypeScript SDK 1.x cannot cancel request 0: let something else have that id.
  await context.mcpReq.send({ method: 'ping' });
  try {
    await context.mcpReq.requestSampling(question, { timeout: 500 });
  } catch (error) {
    return text(`gave up: ${error.message}`);
  }
  return text('was answered');
});

// Who subscribes to one resource hears of all.
server.server.setRequestHandler('resources/subscribe', () => ({}));
server.server.setRequestHandler('resources/unsubscribe', () => ({}));

server.registerTool(
  'touch',
  { description: 'Says that a resource changed', inputSchema: z.object({ uri: z.string() }) },
  async ({ uri }) => {
    await server.server.sendResourceUpdated({ uri });
    return text('touched');
  },
);

server.registerTool('grow', { description: 'Adds a tool, a prompt and a resource', ...named }, ({ name }) => {
  server.registerTool(name, { description: 'Was not there before' }, () => text('new'));
  server.registerPrompt(name, { description: 'Was not there before' }, () => ({ messages: [] }));
  server.registerResource(name, `odd://${name}`, {}, uri => ({ contents: [{ uri: uri.href, text: 'new' }] }));
  return text('grown');
});

// One of each from the start, so that the capabilities announce their changes.
server.registerPrompt('old_prompt', { description: 'Was always there' }, () => ({ messages: [] }));
server.registerResource('old_resource', 'odd://old', {}, uri => ({ contents: [{ uri: uri.href, text: 'old' }] }));
await server.connect(new StdioServerTransport());

function aborted(signal) {
  return new Promise(resolve => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));
}

// Where it is noted that a call was cancelled: the processes of modern clients change.
const note = name => join(tmpdir(), `interop-${name}`);

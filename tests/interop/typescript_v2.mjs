// The TypeScript SDK 2.x as a client. Usage: node typescript_v2.mjs http|sse|stdio[-auto|-pin] BASE SCENARIO...
// The client begins with `initialize`; with `-auto` it asks `server/discover` first, with `-pin` it insists on that.

import assert from 'node:assert/strict';
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { main } from './typescript_scenarios.mjs';

const newest = '2026-07-28';
const modes = { auto: 'auto', pin: { pin: newest } };

const transports = {
  http: (url, options) => new StreamableHTTPClientTransport(new URL(url), options),
  sse: url => new SSEClientTransport(new URL(url)),
  stdio: command => new StdioClientTransport(command),
};

async function connect(transport, target, { inbox, answers, capabilities, options }) {
  const [kind, negotiation] = transport.split('-');
  const client = new Client(
    { name: 'typescript-v2', version: '1.0.0' },
    { capabilities, versionNegotiation: { mode: modes[negotiation] ?? 'legacy' } },
  );
  client.setRequestHandler('sampling/createMessage', (request, context) =>
    answers.sample(request.params, context.mcpReq.signal),
  );
  client.setRequestHandler('elicitation/create', () => answers.elicit());
  client.setRequestHandler('roots/list', () => answers.roots());
  client.fallbackNotificationHandler = async notification => inbox.add(notification);
  await client.connect(transports[kind](target, options));
  const version = client.getNegotiatedProtocolVersion();
  if (!negotiation || kind === 'sse') {
    assert.notEqual(version, newest);
    return { client, call: (params, requestOptions) => client.callTool(params, requestOptions) };
  }
  assert.equal(version, newest);
  return { client, ...modern(client) };
}

// No session: what a legacy client tells the server once is part of each request.
function modern(client) {
  const listen = async filter => {
    const heard = await client.listen(filter);
    assert.deepEqual(heard.honoredFilter, filter);
    subscriptions.push(heard);
  };
  const subscriptions = [];
  const _meta = {};
  return {
    call: (params, requestOptions) => client.callTool({ ...params, _meta: { ..._meta } }, requestOptions),
    setLevel: async level => (_meta['io.modelcontextprotocol/logLevel'] = level),
    hearChanges: () => listen({ toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true }),
    subscribe: uri => listen({ resourceSubscriptions: [uri] }),
    unsubscribe: () => Promise.all(subscriptions.splice(0).map(subscription => subscription.close())),
  };
}

await main(connect);

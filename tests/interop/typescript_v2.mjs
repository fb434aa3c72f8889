// The TypeScript SDK 2.x as a client. Usage: node typescript_v2.mjs http|sse|http-auto|sse-auto|stdio BASE SCENARIO...
// The client begins with `initialize`; with `-auto` it asks `server/discover` first and falls back.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { main } from './typescript_scenarios.mjs';

const transports = {
  http: (url, options) => new StreamableHTTPClientTransport(new URL(url), options),
  sse: url => new SSEClientTransport(new URL(url)),
  stdio: command => new StdioClientTransport(command),
};

async function connect(transport, target, { inbox, answers, capabilities, options }) {
  const [kind, auto] = transport.split('-');
  const client = new Client(
    { name: 'typescript-v2', version: '1.0.0' },
    { capabilities, ...(auto && { versionNegotiation: { mode: 'auto' } }) },
  );
  client.setRequestHandler('sampling/createMessage', (request, context) =>
    answers.sample(request.params, context.mcpReq.signal),
  );
  client.setRequestHandler('elicitation/create', () => answers.elicit());
  client.setRequestHandler('roots/list', () => answers.roots());
  client.fallbackNotificationHandler = async notification => inbox.add(notification);
  await client.connect(transports[kind](target, options));
  return { client, call: (params, requestOptions) => client.callTool(params, requestOptions) };
}

await main(connect);

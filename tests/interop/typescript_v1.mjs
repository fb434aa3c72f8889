// The TypeScript SDK 1.x as a client. Usage: node typescript_v1.mjs http|sse|stdio BASE SCENARIO...

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { main } from './typescript_scenarios.mjs';

const transports = {
  http: (url, options) => new StreamableHTTPClientTransport(new URL(url), options),
  sse: url => new SSEClientTransport(new URL(url)),
  stdio: command => new StdioClientTransport(command),
};

async function connect(transport, target, { inbox, answers, capabilities, options }) {
  const client = new Client({ name: 'typescript-v1', version: '1.0.0' }, { capabilities });
  client.setRequestHandler(CreateMessageRequestSchema, (request, { signal }) => answers.sample(request.params, signal));
  client.setRequestHandler(ElicitRequestSchema, () => answers.elicit());
  client.setRequestHandler(ListRootsRequestSchema, () => answers.roots());
  client.fallbackNotificationHandler = async notification => inbox.add(notification);
  await client.connect(transports[transport](target, options));
  return { client, call: (params, requestOptions) => client.callTool(params, undefined, requestOptions) };
}

await main(connect);

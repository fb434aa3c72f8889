// What the conformance suites want of a client, said to client mode: the SDK's stdio client in front, the suite's server
// behind. Usage: node conformance_client.mjs BINARY URL, with the suite's MCP_CONFORMANCE_* in the environment.

import assert from 'node:assert/strict';
import process from 'node:process';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';

const {
  MCP_CONFORMANCE_SCENARIO: scenario,
  MCP_CONFORMANCE_PROTOCOL_VERSION: revision,
  MCP_CONFORMANCE_CONTEXT: context = '{}',
} = process.env;
const [command, url] = process.argv.slice(2);
const { client_id: id, client_secret: secret, toolCalls } = JSON.parse(context);

// What is done beside listing the tools.
const scenarios = {
  async tools_call(call) {
    await call('add_numbers', { a: 5, b: 3 });
  },

  async 'elicitation-sep1034-client-defaults'(call) {
    await call('test_client_elicitation_defaults');
  },

  async 'sse-retry'(call) {
    await call('test_reconnection');
  },

  async 'sep-2322-client-request-state'(call) {
    await Promise.all([call('test_mrtr_echo_state'), call('test_mrtr_unrelated')]);
    await call('test_mrtr_no_state');
    // The suite wants it to be taken for complete, which this SDK does not do; client mode passes it on.
    await assert.rejects(call('test_mrtr_no_result_type'), /resultType/);
  },

  async 'http-standard-headers'(call, client) {
    await call('my-hyphenated-tool');
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
  },

  async 'http-custom-headers'(call) {
    for (const { name, arguments: given } of toolCalls) await call(name, given);
  },

  // Whatever is listed is fit to be called.
  async 'http-invalid-tool-headers'(call, _client, tools) {
    for (const { name } of tools) await call(name, { region: 'north', value: 'v', field1: '1', field2: '2' });
  },

  async 'json-schema-2020-12-preservation'(call, _client, tools) {
    const { inputSchema } = tools.find(tool => tool.name !== 'json_schema_echo');
    await call('json_schema_echo', { schema: inputSchema });
  },
};

// What the user knows beforehand about logging in.
const words = id ? ['--client-id', id, '--client-secret', secret] : [];
if (scenario === 'auth/basic-cimd') words.push('--client-id', 'https://conformance-test.local/client-metadata.json');

const mode = revision >= '2026' ? { pin: revision } : 'legacy';
const client = new Client(
  { name: 'conformance', version: '1.0.0' },
  { capabilities: { elicitation: { form: { applyDefaults: true } } }, versionNegotiation: { mode } },
);
client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));
await client.connect(new StdioClientTransport({ command, args: [...words, url], env: process.env }));
const { tools } = await client.listTools();
const call = async (name, given = {}) => {
  const result = await client.callTool({ name, arguments: given });
  assert.ok(!result.isError, `${name}: ${JSON.stringify(result)}`);
};
if (scenario.startsWith('auth/')) await call('test-tool');
await scenarios[scenario]?.(call, client, tools);
await client.close();

// A TypeScript SDK logs in at a guarded mount, of which it knows nothing but the URL. Usage: node oauth_login.mjs
// v1|v2|v2-auto URL. The scope that it gets first is enough for `echo`, for `add` it has to get another.

import assert from 'node:assert/strict';
import { browse } from './browser.mjs';

const [version, url] = process.argv.slice(2);
const sdk =
  version === 'v1'
    ? {
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
      }
    : await import('@modelcontextprotocol/client');
const options = version === 'v2-auto' ? { versionNegotiation: { mode: 'auto' } } : {};

const redirect = 'http://127.0.0.1:1/callback';
const kept = {};
const logins = [];

const authProvider = {
  redirectUrl: redirect,
  clientMetadata: {
    client_name: `story ${version}`,
    redirect_uris: [redirect],
    // With a refresh token the SDK 1.x would refresh what it has, and never ask for more.
    grant_types: version === 'v1' ? ['authorization_code'] : ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => kept.client,
  saveClientInformation: client => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: tokens => void (kept.tokens = tokens),
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: verifier => void (kept.verifier = verifier),
  discoveryState: () => kept.discovery,
  saveDiscoveryState: discovery => void (kept.discovery = discovery),
  redirectToAuthorization: page => void logins.push(page),
};

async function withLogin(transport, attempt) {
  try {
    return { result: await attempt(), loggedIn: false };
  } catch (error) {
    if (!(error instanceof sdk.UnauthorizedError)) throw error;
    const page = logins.pop();
    const parameters = await browse(page, redirect);
    await transport.finishAuth(version === 'v1' ? parameters.get('code') : parameters);
    return { page, loggedIn: true };
  }
}

async function connect() {
  const client = new sdk.Client({ name: 'story', version: '1.0.0' }, { capabilities: {}, ...options });
  const transport = new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider });
  const { loggedIn, page } = await withLogin(transport, () => client.connect(transport));
  return { client, transport, loggedIn, page };
}

const first = await connect();
assert.ok(first.loggedIn);
assert.equal(first.page.searchParams.get('resource'), url);
assert.equal(first.page.searchParams.get('scope').replace(' offline_access', ''), 'mcp:use');
const { client, transport, loggedIn } = await connect();
assert.ok(!loggedIn);
const text = result => result.content[0].text;
assert.equal(text(await client.callTool({ name: 'echo', arguments: { text: 'in' } })), 'in');
console.log('ok login');

const add = () => client.callTool({ name: 'add', arguments: { a: 1, b: 2 } });
const stepUp = await withLogin(transport, add);
assert.ok(stepUp.loggedIn);
assert.ok(stepUp.page.searchParams.get('scope').split(' ').includes('mcp:admin'));
assert.equal(text(await add()), '3');
console.log('ok step-up');
await client.close();

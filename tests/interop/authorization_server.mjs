// An authorization server: node authorization_server.mjs. Its first line is its URL, which is its name. Clients register by
// themselves, the user is always there, is called alice, and agrees to everything.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const key = (id, kind, options) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
  kid: id,
  use: 'sig',
});

const scopes = ['mcp:use', 'mcp:admin'];
const server = createServer();
// On a busy machine a client may come back to a connection just when Node, after five seconds, closes it.
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    jwks: { keys: [key('e1', 'ec', { namedCurve: 'P-256' }), key('r1', 'rsa', { modulusLength: 2048 })] },
    cookies: { keys: ['a key of a story'] },
    // Most clients do not say what they are, and all of them run on this machine.
    clientDefaults: { application_type: 'native', token_endpoint_auth_method: 'none' },
    scopes: ['openid', 'offline_access', ...scopes],
    // Some register for the scope that they want first, and would never be given another.
    extraClientMetadata: {
      properties: ['story'],
      validator: (_context, _name, _value, metadata) => void (metadata.scope = ['offline_access', ...scopes].join(' ')),
    },
    ttl: { AccessToken: 600, Grant: 3600, Session: 3600, Interaction: 600, IdToken: 600, RefreshToken: 3600 },
    issueRefreshToken: async (_context, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context, resource) => ({
          scope: scopes.join(' '),
          audience: resource,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });

  const agree = async (request, response) => {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    if (prompt.name === 'login') {
      return provider.interactionFinished(request, response, { login: { accountId: 'alice' } });
    }
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
    for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
      grant.addResourceScope(resource, scopes.join(' '));
    }
    const result = { consent: { grantId: await grant.save() } };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  };

  const answer = provider.callback();
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) return answer(request, response);
    agree(request, response).catch(error => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  for (const event of ['server_error', 'grant.error', 'authorization.error', 'registration_create.error']) {
    provider.on(event, (_context, error) => console.error(event, error.message, error.error_description ?? ''));
  }
  console.log(url);
});

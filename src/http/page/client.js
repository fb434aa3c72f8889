// An MCP client over Streamable HTTP: one session with one mount, for as long as its page is open.

const REVISION = '2025-11-25';

/** What tells that a list has changed. It comes beside the answer to a request: this client opens no stream for itself. */
const LISTS = /^notifications\/(tools|prompts|resources)\/list_changed$/;

/** A request was answered with an error. */
class Refused extends Error {
  constructor({ code, message, data }) {
    super(message || 'an error without a message');
    Object.assign(this, { code, data });
  }
}

class Client {
  /** `elicit(params, signal)` answers the server's questions; `onchange(kind)` hears of a list that has changed. */
  constructor(path, { elicit, onchange }) {
    Object.assign(this, { path, elicit, onchange, next: 0, waiting: new Map(), questions: new Map() });
  }

  /** Opens the session. */
  async open() {
    const result = await this.request('initialize', {
      protocolVersion: REVISION,
      capabilities: { elicitation: { form: {} } },
      clientInfo: { name: 'mcp-switchboard-page', title: 'The status page of mcp-switchboard', version: '1' },
    });
    this.version = result.protocolVersion;
    this.server = result;
    await this.post({ method: 'notifications/initialized' });
    return result;
  }

  /** Ends the session; also while the page itself is going away. */
  close() {
    this.closed = true;
    for (const { abort } of this.waiting.values()) abort.abort();
    for (const question of this.questions.values()) question.abort();
    if (!this.session) return;
    ask(this.path, { method: 'DELETE', headers: this.headers(), keepalive: true }).catch(() => {});
    this.session = undefined;
  }

  /** The result of a request. `call`: takes `cancel`, and is told of `onprogress`. */
  async request(method, params, call = {}) {
    const id = (this.next += 1);
    const abort = new AbortController();
    this.waiting.set(id, { abort, onprogress: call.onprogress });
    call.cancel = () => {
      this.notify('notifications/cancelled', { requestId: id, reason: 'The user cancelled it.' }).catch(() => {});
      call.cancelled = true;
      abort.abort();
    };
    if (call.onprogress) params = { ...params, _meta: { progressToken: id } };
    try {
      const response = await this.send({ id, method, params }, abort.signal);
      this.session ??= response.headers.get('mcp-session-id') ?? undefined;
      const answer = await this.answer(response, id).catch(error => {
        // That is what a browser makes of a stream that breaks off.
        if (!(error instanceof TypeError)) throw error;
      });
      if (!answer) throw new Error('the connection was lost before the answer came');
      if (answer.error) throw new Refused(answer.error);
      return answer.result ?? {};
    } finally {
      this.waiting.delete(id);
    }
  }

  /** Sends a request; in a new session, if the one before has ended meanwhile: then nobody has read it yet. */
  async send(message, signal) {
    try {
      return await this.post(message, signal);
    } catch (error) {
      if (error.status !== 404 || !this.session || this.closed) throw error;
      [this.session, this.version] = [undefined, undefined];
      await this.open();
      return this.post(message, signal);
    }
  }

  notify(method, params) {
    return this.post({ method, params });
  }

  /** All that a list has, page after page, within reason. */
  async list(method, name) {
    const all = [];
    let cursor;
    for (let page = 0; page < 100; page += 1) {
      const result = await this.request(method, cursor === undefined ? {} : { cursor });
      if (Array.isArray(result[name])) all.push(...result[name].filter(item => item && typeof item === 'object'));
      cursor = result.nextCursor;
      if (cursor === undefined || cursor === null) break;
    }
    return all;
  }

  headers() {
    const session = this.session ? { 'Mcp-Session-Id': this.session } : {};
    return this.version ? { ...session, 'MCP-Protocol-Version': this.version } : session;
  }

  async post(message, signal) {
    const headers = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', ...this.headers() };
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    const response = await ask(this.path, { method: 'POST', headers, body, signal });
    if (!response.ok) throw Object.assign(new Error(await reason(response)), { status: response.status });
    return response;
  }

  /** The answer to `id` in a response; what comes before it is dealt with on the way. */
  async answer(response, id) {
    if (!/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')) return spelled(await response.text());
    for await (const { data } of eventsOf(response)) {
      const message = data && parsed(data, spelled);
      if (!message) continue;
      if (message.id === id && !message.method) return message;
      this.take(message);
    }
    return undefined;
  }

  /** Something that the server says by itself. */
  take({ id, method, params = {} }) {
    if (method === 'notifications/progress') this.waiting.get(params.progressToken)?.onprogress?.(params);
    else if (method === 'notifications/cancelled') this.questions.get(params.requestId)?.abort();
    else if (id === undefined && LISTS.test(method)) this.onchange?.(LISTS.exec(method)[1]);
    else if (method && id !== undefined) this.respond(id, method, params).catch(() => {});
  }

  async respond(id, method, params) {
    if (method === 'ping') return this.post({ id, result: {} });
    if (method !== 'elicitation/create') {
      return this.post({ id, error: { code: -32601, message: `this client does not know ${method}` } });
    }
    const withdrawn = new AbortController();
    this.questions.set(id, withdrawn);
    const result = await this.elicit(params, withdrawn.signal);
    this.questions.delete(id);
    // 2025-11-25, basic/utilities/cancellation: a request that was cancelled is not answered.
    return withdrawn.signal.aborted ? undefined : this.post({ id, result });
  }
}

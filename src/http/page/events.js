// Event streams over `fetch`, which can show a key, as `EventSource` cannot.

/** The events of a response: `{ id, data }`, one by one. */
async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let event = { data: [] };
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      // A return at the end may be the first half of a line's end.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === '') {
          if (event.data.length) yield { id: event.id, data: event.data.join('\n') };
          event = { data: [] };
          continue;
        }
        const colon = line.indexOf(':');
        const [field, text] = colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
        if (field === 'data') event.data.push(text);
        else if (field === 'id') event.id = text;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A stream that is opened again when it ends. `ontrouble` hears why there is none; what will not change is not asked again. */
class Feed {
  constructor(path, { onitem, ontrouble, onopen, rests = false }) {
    Object.assign(this, { path, onitem, ontrouble, onopen });
    // Browsers have few connections to one place: what can be had again later takes none while nobody looks.
    this.rest = () => rests && document.hidden && this.abort?.abort();
    document.addEventListener('visibilitychange', this.rest);
    this.isResting = () => rests && document.hidden;
    this.run();
  }

  stop() {
    this.stopped = true;
    document.removeEventListener('visibilitychange', this.rest);
    this.abort?.abort();
  }

  async run() {
    for (let wait = 500; !this.stopped; wait = Math.min(wait * 2, 15000)) {
      if (this.isResting()) {
        await new Promise(resolve => document.addEventListener('visibilitychange', resolve, { once: true }));
        wait = 250;
        continue;
      }
      this.abort = new AbortController();
      try {
        const response = await ask(this.path, { headers: { Accept: 'text/event-stream' }, signal: this.abort.signal });
        if (!response.ok) {
          this.ontrouble(response.status, await reason(response));
          if (response.status < 500 && response.status !== 429) return;
        } else {
          wait = 500;
          this.onopen?.();
          for await (const { data } of eventsOf(response)) {
            const item = parsed(data);
            if (item && !this.stopped) this.onitem(item);
          }
        }
      } catch {
        if (!this.stopped && !this.isResting()) this.ontrouble(0, 'the connection was lost');
      }
      await new Promise(resolve => setTimeout(resolve, wait));
    }
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

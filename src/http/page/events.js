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

/**
 * A stream that is opened again when it ends. `onopen` hears since when nothing was, if something was before; `ontrouble` why
 * there is none; what will not change is not asked again.
 *
 * Browsers have six connections to one place, for all of its pages: a page that has been hidden for `restsAfter` milliseconds
 * gives its own back, until somebody looks again.
 */
class Feed {
  constructor(path, { onitem, ontrouble, onopen, restsAfter }) {
    Object.assign(this, { path, onitem, ontrouble, onopen, restsAfter });
    this.turn = () => {
      clearTimeout(this.timer);
      this.wake?.();
      if (document.hidden) this.timer = setTimeout(() => this.rest(), this.restsAfter);
      else this.isResting = false;
    };
    document.addEventListener('visibilitychange', this.turn);
    this.turn();
    this.run();
  }

  rest() {
    this.isResting = true;
    this.abort?.abort();
  }

  stop() {
    this.stopped = true;
    document.removeEventListener('visibilitychange', this.turn);
    clearTimeout(this.timer);
    this.wake?.();
    this.abort?.abort();
  }

  async run() {
    for (let wait = 500; !this.stopped; wait = Math.min(wait * 2, 15000)) {
      if (this.isResting) {
        await new Promise(resolve => (this.wake = resolve));
        wait = 250;
        continue;
      }
      this.abort = new AbortController();
      let isOpen = false;
      try {
        const response = await ask(this.path, { headers: { Accept: 'text/event-stream' }, signal: this.abort.signal });
        if (!response.ok) {
          this.ontrouble(response.status, await reason(response));
          if (response.status < 500 && response.status !== 429) return;
        } else {
          wait = 500;
          isOpen = true;
          this.onopen?.(this.lost);
          for await (const { data } of eventsOf(response)) {
            const item = parsed(data);
            if (item && !this.stopped) this.onitem(item);
          }
        }
      } catch {
        if (!this.stopped && !this.isResting) this.ontrouble(0, 'the connection was lost');
      } finally {
        if (isOpen) this.lost = new Date();
      }
      if (!this.isResting) await new Promise(resolve => setTimeout(resolve, wait));
    }
  }
}

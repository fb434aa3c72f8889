// A network that can fail: its `fetch` keeps hold of the event streams that come through it.
export class Line {
  resumptions = 0;
  #streams = [];
  #waiting = [];

  fetch = async (url, init) => {
    const response = await fetch(url, init);
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response;
    if (new Headers(init.headers).has('last-event-id')) this.resumptions++;
    const stream = { method: init.method, swallowing: false };
    const valve = new TransformStream({
      start: controller => (stream.controller = controller),
      transform: (chunk, controller) => stream.swallowing || controller.enqueue(chunk),
    });
    this.#streams.push(stream);
    this.#waiting.splice(0).forEach(wake => wake());
    return new Response(response.body.pipeThrough(valve), response);
  };

  async opened(method) {
    while (!this.#newest(method)) {
      await new Promise(wake => this.#waiting.push(wake));
    }
  }

  // From now on what arrives on the newest stream is lost.
  swallow(method) {
    this.#newest(method).swallowing = true;
  }

  cut(method) {
    this.#newest(method).controller.error(new Error('the line was cut'));
  }

  #newest(method) {
    return this.#streams.findLast(stream => stream.method === method);
  }
}

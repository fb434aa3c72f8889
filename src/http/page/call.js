// One request, made by hand: its form, how far it is, what came of it, and the questions that a server has meanwhile.

/** A form for a request. `make(value)`: `{ method, params }`; `render(result)`: elements. `isBusy()`: it runs, or what is typed was not sent. */
function request(client, { schema, how, verb, make, render }) {
  const fields = form(schema, how);
  const run = h('button', { type: 'submit', class: 'primary' }, verb);
  const cancel = h('button', { type: 'button', hidden: true, 'data-cancel': '' }, 'Cancel');
  const clockFace = h('span', { class: 'quiet-text' });
  const bar = h('progress', { max: 1, hidden: true, 'aria-label': 'Progress' });
  const progress = h('p', { class: 'progress-text', role: 'status', 'data-progress': '' });
  const outcome = h('div', { class: 'outcome', 'data-outcome': '', 'aria-live': 'polite' });
  const element = h('form', { class: 'request', novalidate: true, onsubmit: submit }, fields.element, h('div', { class: 'buttons' }, run, cancel, clockFace), bar, progress, outcome);
  element.addEventListener('keydown', event => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) element.requestSubmit();
  });
  let [call, isTyped] = [undefined, false];
  element.addEventListener('input', () => (isTyped = true));

  async function submit(event) {
    event.preventDefault();
    if (call) return;
    const { value, wrong } = fields.read();
    if (wrong) return wrong.focus();
    isTyped = false;
    const begun = performance.now();
    const tick = setInterval(() => say(clockFace, lasting((performance.now() - begun) / 1000)), 100);
    call = { onprogress: advance };
    stand(true);
    outcome.replaceChildren();
    try {
      const { method, params } = make(value);
      const result = await client.request(method, params, call);
      settle(result.isError === true ? 'The tool reports an error' : 'Done', result.isError === true ? 'bad' : 'ok', render(result), result);
    } catch (error) {
      if (call.cancelled) settle('Cancelled', 'calm', []);
      else settle(error.code === undefined ? 'It did not work' : `Error ${error.code}`, 'bad', [textBlock(error.message), error.data === undefined ? null : jsonBlock(error.data)]);
    } finally {
      clearInterval(tick);
      say(clockFace, lasting((performance.now() - begun) / 1000));
      call = undefined;
      stand(false);
    }
  }

  cancel.addEventListener('click', () => call?.cancel?.());

  function stand(isRunning) {
    // What has the keyboard must not vanish with it.
    const moves = document.activeElement === (isRunning ? run : cancel);
    run.disabled = isRunning;
    show(cancel, isRunning);
    show(bar, isRunning);
    bar.removeAttribute('value');
    if (isRunning) say(progress, '');
    if (moves) (isRunning ? cancel : run).focus();
  }

  function advance({ progress: done, total, message }) {
    if (Number.isFinite(done) && total > 0) {
      bar.max = total;
      bar.value = done;
    }
    const share = total > 0 ? `${number(done)} of ${number(total)}` : number(done);
    say(progress, message === undefined || message === share ? share : `${share} · ${message}`);
  }

  function settle(title, kind, parts, raw) {
    const mark = svg('svg', { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' }, ...SHAPES[kind]());
    const head = h('h3', { class: `state is-${kind}` }, mark, h('span', null, title));
    const whole = raw === undefined ? null : h('details', null, h('summary', null, 'The whole result'), jsonBlock(raw));
    outcome.replaceChildren(head, ...parts.filter(Boolean), ...(whole ? [whole] : []));
  }

  return { element, isBusy: () => Boolean(call) || isTyped };
}

/** Asks whether to go on, though something will be lost. */
function sure(question, verb) {
  const title = freshId();
  const dialog = h('dialog', { 'aria-labelledby': title, 'data-sure': '' }, h('p', { id: title, class: 'asked' }, question), h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'primary', onclick: () => dialog.close() }, 'Stay'), h('button', { type: 'button', onclick: () => dialog.close('yes') }, verb)));
  return new Promise(resolve => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'));
    opened(dialog);
  });
}

/** Puts a server's question before the user; the answer is the result of `elicitation/create`. */
function elicit(server, params, withdrawn) {
  const fields = form(params.requestedSchema ?? {}, { isShort: true });
  const title = freshId();
  const answers = h('div', { class: 'buttons' });
  const dialog = h(
    'dialog',
    { class: 'question', 'aria-labelledby': title, 'data-question': '' },
    h('form', { novalidate: true, onsubmit: accept }, h('p', { class: 'quiet-text', id: title }, 'A question of ', h('strong', null, server)), h('p', { class: 'asked' }, String(params.message ?? '')), fields.element, answers),
  );
  answers.append(
    h('button', { type: 'submit', class: 'primary' }, 'Answer'),
    h('button', { type: 'button', onclick: () => dialog.close('decline') }, 'Decline'),
    h('button', { type: 'button', class: 'quiet', onclick: () => dialog.close('cancel') }, 'Cancel'),
  );
  let content;
  function accept(event) {
    event.preventDefault();
    const { value, wrong } = fields.read();
    if (wrong) return wrong.focus();
    content = value;
    dialog.close('accept');
  }
  return new Promise(resolve => {
    withdrawn.addEventListener('abort', () => dialog.close('cancel'), { once: true });
    dialog.addEventListener('close', () => {
      // Escape closes a dialog without a word.
      const action = dialog.returnValue || 'cancel';
      resolve(action === 'accept' ? { action, content } : { action });
    });
    opened(dialog);
    dialog.querySelector('input, textarea, select')?.focus();
  });
}

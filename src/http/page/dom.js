// Elements. Text from elsewhere only ever becomes text: nothing here, or anywhere else, reads markup.

const SVG = 'http://www.w3.org/2000/svg';

function dress(element, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
}

/** An element with attributes, listeners (`onclick`) and children; strings among these become text. */
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  dress(element, attributes);
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false && child !== '').map(visible));
  return element;
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  dress(element, attributes);
  element.append(...children);
  return element;
}

/** Changes what an element says, if it says something else: what did not change is neither drawn nor read out again. */
function say(element, text) {
  const next = text === null || text === undefined ? '' : visible(String(text));
  if (element.textContent !== next) element.textContent = next;
}

function show(element, is) {
  if (element.hidden === is) element.hidden = !is;
}

let lastId = 0;
const freshId = () => `n${(lastId += 1)}`;

/** Tells those who listen rather than look. */
function announce(text) {
  say(document.getElementById('announce'), text);
}

/** A button that copies what `text` returns, and says so. */
function copyButton(text, label = 'Copy') {
  const button = h('button', { type: 'button', class: 'small', onclick: copy }, label);
  async function copy() {
    const done = await copied(text());
    say(button, done ? 'Copied' : 'Not copied');
    announce(done ? 'Copied' : 'This could not be copied');
    setTimeout(() => say(button, label), 1500);
  }
  return button;
}

/** The clipboard is only there on secure pages; elsewhere a selection does. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea', { class: 'unseen', readonly: true, tabindex: -1 });
    area.value = text;
    const focused = document.activeElement;
    (document.querySelector('dialog[open]') ?? document.body).append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    focused?.focus?.();
    return done;
  }
}

/** Opens a dialog before everything else; it is gone when it is closed, and the keyboard is where it was. */
function opened(dialog) {
  const before = document.activeElement;
  dialog.addEventListener('close', () => {
    dialog.remove();
    before?.focus?.();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Tabs as the keyboard knows them: arrows move, one of them is in the tab order. `tabs`: [{ name, label, panel }]. */
function tabs(label, entries, onchange) {
  const list = h('div', { role: 'tablist', 'aria-label': label, class: 'tabs' });
  const buttons = entries.map(({ name, label: title, panel }) => {
    const [id, panelId] = [freshId(), freshId()];
    dress(panel, { role: 'tabpanel', id: panelId, 'aria-labelledby': id });
    return h('button', { type: 'button', role: 'tab', id, 'aria-controls': panelId, 'data-tab': name, onclick: () => choose(name) }, title);
  });
  list.append(...buttons);
  list.addEventListener('keydown', event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = buttons.indexOf(document.activeElement);
    if (at < 0 || (!step && event.key !== 'Home' && event.key !== 'End')) return;
    event.preventDefault();
    const next = step ? at + step : event.key === 'Home' ? 0 : -1;
    const button = buttons.at(next % buttons.length);
    button.focus();
    choose(button.dataset.tab);
  });
  function choose(name) {
    entries.forEach((entry, at) => {
      const chosen = entry.name === name;
      buttons[at].setAttribute('aria-selected', chosen);
      buttons[at].tabIndex = chosen ? 0 : -1;
      show(entry.panel, chosen);
    });
    onchange?.(name);
  }
  return { list, choose };
}

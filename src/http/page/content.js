// What servers answer, as something to look at. All of it is foreign: text stays text, pictures and sounds are data.

/** Text beyond this many characters is shown on demand. */
const MOST_SHOWN = 20000;

function textBlock(text, { isCode = false } = {}) {
  const whole = String(text);
  const pre = h('pre', { class: isCode ? 'code' : 'text', tabindex: 0 });
  say(pre, whole.slice(0, MOST_SHOWN));
  const parts = [pre];
  if (whole.length > MOST_SHOWN) {
    const more = h('button', { type: 'button', class: 'small', onclick: () => (say(pre, whole), more.remove()) }, `Show all ${number(whole.length)} characters`);
    parts.push(more);
  }
  return h('div', { class: 'block' }, ...parts, copyButton(() => whole));
}

const jsonBlock = value => textBlock(pretty(value), { isCode: true });

function block(content) {
  const { type } = content ?? {};
  if (type === 'text') return textBlock(content.text ?? '');
  const isData = typeof content?.data === 'string' && /^[A-Za-z0-9+/=\s]*$/.test(content.data);
  if (type === 'image' && isData && /^image\/[\w.+-]+$/.test(content.mimeType)) {
    const none = () => picture.replaceWith(h('p', { class: 'quiet-text' }, `This is no picture (${content.mimeType}).`), jsonBlock(content));
    const picture = h('img', { class: 'picture', alt: `A picture (${content.mimeType})`, onerror: none, src: `data:${content.mimeType};base64,${content.data}` });
    return picture;
  }
  if (type === 'audio' && isData && /^audio\/[\w.+-]+$/.test(content.mimeType)) {
    return h('audio', { controls: true, src: `data:${content.mimeType};base64,${content.data}` });
  }
  if (type === 'resource_link') {
    return h('p', { class: 'block' }, h('strong', null, String(content.title ?? content.name ?? '')), ' ', h('code', null, String(content.uri ?? '')));
  }
  if (type === 'resource') return resourceBlock(content.resource);
  return jsonBlock(content);
}

function resourceBlock(resource) {
  const head = h('p', { class: 'quiet-text' }, h('code', null, String(resource?.uri ?? '')), resource?.mimeType ? ` ${resource.mimeType}` : '');
  if (typeof resource?.text === 'string') return h('div', null, head, textBlock(resource.text));
  if (typeof resource?.blob === 'string' && /^image\//.test(resource.mimeType ?? '')) {
    return h('div', null, head, block({ type: 'image', data: resource.blob, mimeType: resource.mimeType }));
  }
  if (typeof resource?.blob === 'string') return h('div', null, head, h('p', { class: 'quiet-text' }, `${bytes(sizeOf(resource.blob))} of data`));
  return h('div', null, head, jsonBlock(resource));
}

/** How many bytes a text in base64 stands for: what fills up its end, and what breaks its lines, stands for nothing. */
const sizeOf = base64 => Math.floor((base64.replace(/[\s=]+/g, '').length * 3) / 4);

/** The result of `tools/call`. */
function toolResult(result) {
  const blocks = Array.isArray(result.content) ? result.content.map(block) : [];
  const structured = result.structuredContent === undefined ? [] : [h('h4', null, 'Structured content'), jsonBlock(result.structuredContent)];
  const empty = !blocks.length && !structured.length ? [h('p', { class: 'quiet-text' }, 'The result is empty.')] : [];
  return [...blocks, ...structured, ...empty];
}

/** The result of `prompts/get`. */
function promptResult(result) {
  const messages = Array.isArray(result.messages) ? result.messages : [];
  return messages.map(message => h('div', { class: 'message' }, h('h4', null, String(message?.role ?? '')), block(message?.content)));
}

/** The result of `resources/read`. */
const resourceResult = result => (Array.isArray(result.contents) ? result.contents : []).map(resourceBlock);

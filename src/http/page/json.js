// JSON as it was written. `JSON.parse` rounds long numbers and sorts keys that are numbers: who looks for a mistake must see what was sent.

/** Deeper than this nothing is set further in: the spaces before a deep line would be more than all the text. */
const MOST_INDENT = 32;

/** So deep in a message it is known how its parts were spelled: message, result, list, item, schema. */
const SPELLED_DEPTH = 5;

const spellings = new WeakMap();

/** What a JSON text says; undefined where it is none. */
function parsed(text, read = JSON.parse) {
  try {
    return read(text);
  } catch {
    return undefined;
  }
}

/** A value as JSON on many lines, to the letter where `spelled` has read it. */
const pretty = value => indented(spellings.get(value) ?? JSON.stringify(value) ?? '');

/** JSON text on many lines, each literal and each string to the letter; text that is no JSON as it is. */
function indented(text) {
  if (parsed(text) === undefined) return text;
  let [lines, depth, before] = ['', 0, ''];
  eachToken(text, (first, at, end) => {
    const closes = first === '}' || first === ']';
    const follows = before === '{' || before === '[';
    if (closes) depth -= 1;
    // What is empty stays on its line.
    if (before === ',' || follows !== closes) lines += `\n${'  '.repeat(Math.min(depth, MOST_INDENT))}`;
    lines += first === ':' ? ': ' : text.slice(at, end);
    if (first === '{' || first === '[') depth += 1;
    before = first;
  });
  return lines;
}

/** Reads JSON, as `JSON.parse` does, so that `pretty` knows how its outer objects and lists were spelled. */
function spelled(text) {
  const whole = JSON.parse(text);
  const open = [];
  eachToken(text, (first, at, end) => {
    const around = open.at(-1);
    if (first === '{' || first === '[') {
      const value = !around ? whole : open.length < SPELLED_DEPTH ? around.value?.[around.key] : undefined;
      open.push({ at, value, key: first === '[' ? 0 : undefined });
    } else if (first === '}' || first === ']') {
      const { at: begin, value } = open.pop();
      // Of a key that is there twice the last one counts, here as in `JSON.parse`.
      if (value !== null && typeof value === 'object') spellings.set(value, text.slice(begin, end));
    } else if (first === ',') {
      around.key = typeof around.key === 'number' ? around.key + 1 : undefined;
    } else if (first === '"' && around && around.key === undefined) {
      around.key = open.length <= SPELLED_DEPTH ? JSON.parse(text.slice(at, end)) : '';
    }
  });
  return whole;
}

/** Takes a text that is JSON apart: `take(first, at, end)` gets each token's first character, where it begins and where it ends. */
function eachToken(text, take) {
  const literal = /[^\s{}[\]:,"]+/y;
  for (let at = 0; at < text.length; ) {
    const first = text[at];
    let end = at + 1;
    if (first === '"') {
      end = endOfString(text, at);
    } else if (!'{}[]:,'.includes(first)) {
      literal.lastIndex = at;
      // What begins no literal is white space.
      if (!literal.test(text)) {
        at += 1;
        continue;
      }
      end = literal.lastIndex;
    }
    take(first, at, end);
    at = end;
  }
}

/** Where the string ends that begins at `begin`. No expression: they give up on strings of megabytes. */
function endOfString(text, begin) {
  for (let quote = text.indexOf('"', begin + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let escapes = 0;
    while (text[quote - 1 - escapes] === '\\') escapes += 1;
    if (escapes % 2 === 0) return quote + 1;
  }
  return text.length;
}

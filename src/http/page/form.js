// A form from a JSON Schema: one field for each property, JSON text for what has no field of its own.

/** A form's fields (`isShort`: lines, where Enter answers; `mayBeEmpty`: what is required and left empty is the empty text or list, where that fits), and `read()`: `{ value, wrong }`, where `wrong` is the first field that is not as it must be. */
function form(schema, how = {}) {
  const root = resolved(schema, schema);
  const required = new Set(Array.isArray(root.required) ? root.required : []);
  const properties = root.properties && typeof root.properties === 'object' ? Object.entries(root.properties) : [];
  const fields = properties.map(([name, property]) => field(name, withParts(resolved(property, schema), schema), required.has(name), how));
  // What says nothing of its members, but has something to say, may take any.
  const isOpen = Boolean(root.additionalProperties) || (!root.properties && ['anyOf', 'oneOf', 'allOf', 'patternProperties'].some(word => word in root));
  if (!properties.length && isOpen) fields.push(field(null, { type: 'object', title: 'Arguments' }, false, how));
  const element = h('div', { class: 'fields' }, fields.map(({ element }) => element));
  if (!fields.length && !how.isShort) element.append(h('p', { class: 'quiet-text' }, 'It takes no arguments.'));
  const read = () => {
    let value = {};
    let wrong;
    for (const each of fields) {
      const { error, given } = each.read();
      each.complain(error);
      if (error) wrong ??= each;
      else if (given !== undefined && each.name === null) value = given;
      // A property that is called `__proto__` is a property like any other.
      else if (given !== undefined) Object.defineProperty(value, each.name, { value: given, enumerable: true, configurable: true, writable: true });
    }
    return { value, wrong };
  };
  return { element, read };
}

/** A schema without references to its own document, and without the alternative that it is null. */
function resolved(schema, document) {
  let at = schema && typeof schema === 'object' ? schema : {};
  for (let steps = 0; steps < 16; steps += 1) {
    if (typeof at.$ref === 'string' && at.$ref.startsWith('#/')) {
      const path = at.$ref.slice(2).split('/').map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'));
      const found = path.reduce((node, step) => (node && typeof node === 'object' && Object.hasOwn(node, step) ? node[step] : undefined), document);
      const { $ref, ...rest } = at;
      at = { ...(found && typeof found === 'object' ? found : {}), ...rest };
      continue;
    }
    const choices = (at.anyOf ?? at.oneOf)?.filter?.(choice => choice?.type !== 'null');
    if (!at.type && choices?.length === 1) {
      const { anyOf, oneOf, ...rest } = at;
      at = { ...choices[0], ...rest };
      continue;
    }
    break;
  }
  return at;
}

/** A schema whose members and alternatives have no references to its document either. */
function withParts(schema, document) {
  const parts = {};
  if (schema.items && !Array.isArray(schema.items)) parts.items = resolved(schema.items, document);
  for (const word of ['anyOf', 'oneOf']) if (Array.isArray(schema[word])) parts[word] = schema[word].map(choice => resolved(choice, document));
  return { ...schema, ...parts };
}

function field(name, schema, isRequired, { isShort = false, mayBeEmpty = false }) {
  const id = freshId();
  const kind = kindOf(schema);
  const input = inputOf(kind, schema, id, isShort, isRequired);
  const empty = isRequired && mayBeEmpty ? emptyOf(kind, schema) : undefined;
  const [hint, trouble] = [h('p', { class: 'hint', id: `${id}h` }, ...hints(schema, kind, empty !== undefined)), h('p', { class: 'trouble', id: `${id}t`, role: 'alert' })];
  const described = hint.childNodes.length ? `${id}h ${id}t` : `${id}t`;
  dress(input.focus, { 'aria-describedby': described, 'aria-required': isRequired ? 'true' : null });
  const mark = isRequired ? h('span', { class: 'required' }, 'required') : null;
  const code = name === null ? '' : h('code', { class: isShort && schema.title ? 'field-title' : null }, name);
  // In a dialog the question is for people; the name comes after what they call it.
  const title = schema.title && schema.title !== name ? h('span', { class: isShort ? null : 'field-title' }, String(schema.title)) : null;
  const label = h(input.isGroup ? 'span' : 'label', { for: input.isGroup ? null : id, id: `${id}l` }, ...(isShort ? [title, code] : [code, title]), mark);
  const element = h('div', { class: `field is-${kind}`, 'data-field': name ?? '' }, h('div', { class: 'label' }, label), hint.childNodes.length ? hint : null, input.element, trouble);
  if (input.isGroup) dress(input.element, { role: 'group', 'aria-labelledby': `${id}l` });
  const complain = error => {
    say(trouble, error ?? '');
    if (error) input.focus.setAttribute('aria-invalid', 'true');
    else input.focus.removeAttribute('aria-invalid');
  };
  const read = () => {
    const { error, given = empty } = input.read();
    if (error) return { error };
    if (given === undefined) return isRequired ? { error: 'This is required.' } : {};
    const unfit = unfitness(given, schema, kind);
    return unfit ? { error: unfit } : { given };
  };
  return { name, element, read, complain, focus: () => input.focus.focus() };
}

function kindOf(schema) {
  if (options(schema)) return 'choice';
  const types = [schema.type].flat().filter(type => type && type !== 'null');
  const type = types.length === 1 ? types[0] : undefined;
  if (type === 'array' && options(schema.items)) return 'choices';
  return ['string', 'number', 'integer', 'boolean'].includes(type) ? type : 'json';
}

/** What a required field means that is left empty; nothing where something has to be in it. */
function emptyOf(kind, schema) {
  if (kind === 'string' && !(schema.minLength > 0) && !schema.format) return '';
  return kind === 'choices' && !(schema.minItems > 0) ? [] : undefined;
}

/** The values that a schema lists, with what they are called. */
function options(schema) {
  if (schema && Object.hasOwn(schema, 'const')) return [{ value: schema.const, label: textOf(schema.const) }];
  const listed = schema?.oneOf ?? schema?.anyOf;
  if (Array.isArray(listed) && listed.length && listed.every(choice => choice && typeof choice === 'object' && 'const' in choice)) {
    return listed.map(choice => ({ value: choice.const, label: String(choice.title ?? textOf(choice.const)) }));
  }
  if (!Array.isArray(schema?.enum)) return undefined;
  return schema.enum.map((value, at) => ({ value, label: String(schema.enumNames?.[at] ?? textOf(value)) }));
}

const textOf = value => (typeof value === 'string' ? value : JSON.stringify(value));

function inputOf(kind, schema, id, isShort, isRequired) {
  const preset = Object.hasOwn(schema, 'default') ? schema.default : schema.const;
  if (kind === 'choice') return choice(options(schema), preset, id);
  if (kind === 'choices') return choices(options(schema.items), preset, id);
  if (kind === 'boolean' && !isRequired && typeof preset !== 'boolean') return choice([{ value: true, label: 'true' }, { value: false, label: 'false' }], undefined, id);
  if (kind === 'boolean') {
    const box = h('input', { type: 'checkbox', id });
    box.checked = preset === true;
    return { element: box, focus: box, read: () => ({ given: box.checked }) };
  }
  const isLine = kind === 'number' || kind === 'integer' || (kind === 'string' && (isShort || schema.format || schema.maxLength <= 200));
  const type = schema.format === 'date' ? 'date' : 'text';
  const inputmode = { integer: 'numeric', number: 'decimal' }[kind] ?? { email: 'email', uri: 'url' }[schema.format];
  const plain = { id, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', inputmode };
  const input = isLine ? h('input', { type, ...plain }) : h('textarea', { rows: kind === 'json' ? 3 : 1, class: kind === 'json' ? 'mono' : null, ...plain });
  if (preset !== undefined && preset !== null) input.value = kind === 'json' ? pretty(preset) : textOf(preset);
  return { element: input, focus: input, read: () => readText(kind, input.value, schema) };
}

function readText(kind, text, schema) {
  if (kind === 'string') return text === '' ? {} : { given: text };
  const trimmed = text.trim();
  if (trimmed === '') return {};
  if (kind === 'json') return readJson(text, typesOf(schema));
  const value = Number(trimmed);
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed) || !Number.isFinite(value)) return { error: 'This is not a number.' };
  if (kind === 'integer' && !Number.isInteger(value)) return { error: 'This must be a whole number.' };
  if (kind === 'integer' && !Number.isSafeInteger(value)) return { error: 'This page cannot write a number of so many digits.' };
  return { given: value };
}

/** What a text means where JSON is wanted, and text as it is where that is one of the types. */
function readJson(text, types) {
  const mayBeText = !types || types.includes('string');
  try {
    const given = JSON.parse(text);
    const isFit = !types || types.some(type => isOf(given, type));
    return { given: !isFit && mayBeText ? text : given };
  } catch (error) {
    // What begins as JSON does is a slip of the pen.
    if (mayBeText && !/^\s*["[{]/.test(text)) return { given: text };
    return { error: `This is not JSON: ${error.message}` };
  }
}

function choice(list, preset, id) {
  const select = h('select', { id }, h('option', { value: '' }, '—'), list.map(({ label }, at) => h('option', { value: at }, label)));
  const at = list.findIndex(({ value }) => JSON.stringify(value) === JSON.stringify(preset));
  if (preset !== undefined && at >= 0) select.value = String(at);
  return { element: select, focus: select, read: () => (select.value === '' ? {} : { given: list[Number(select.value)].value }) };
}

function choices(list, preset, id) {
  const chosen = new Set(Array.isArray(preset) ? preset.map(value => JSON.stringify(value)) : []);
  const boxes = list.map(({ value }, at) => {
    const box = h('input', { type: 'checkbox', id: at ? `${id}-${at}` : id });
    box.checked = chosen.has(JSON.stringify(value));
    return box;
  });
  const element = h('div', { class: 'boxes' }, boxes.map((box, at) => h('label', null, box, list[at].label)));
  const read = () => {
    const given = list.filter((_, at) => boxes[at].checked).map(({ value }) => value);
    return given.length ? { given } : {};
  };
  return { element, focus: boxes[0] ?? element, isGroup: true, read };
}

function hints(schema, kind, mayBeEmpty) {
  const found = [];
  if (schema.description) found.push(h('span', null, String(schema.description)));
  const facts = [];
  if (kind === 'json') facts.push(`${typesOf(schema)?.join(' or ') ?? 'any value'}, as JSON`);
  if (kind === 'integer') facts.push('whole number');
  if (mayBeEmpty) facts.push('may be empty');
  const { minimum: least, maximum: most } = schema;
  if (least !== undefined && most !== undefined) facts.push(`${least} to ${most}`);
  else if (least !== undefined) facts.push(`at least ${least}`);
  else if (most !== undefined) facts.push(`at most ${most}`);
  if (schema.multipleOf !== undefined) facts.push(`a multiple of ${schema.multipleOf}`);
  if (schema.format) facts.push(String(schema.format));
  if (facts.length) found.push(h('span', { class: 'fact' }, facts.join(', ')));
  return found;
}

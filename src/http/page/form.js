// A form from a JSON Schema: one field for each property, JSON text for what has no field of its own.

/** A form's fields (`isShort`: in a dialog, where Enter answers), and `read()`: `{ value, wrong }`, where `wrong` is the first field that is not as it must be. */
function form(schema, { isShort = false } = {}) {
  const root = resolved(schema, schema);
  const required = new Set(Array.isArray(root.required) ? root.required : []);
  const properties = root.properties && typeof root.properties === 'object' ? Object.entries(root.properties) : [];
  const fields = properties.map(([name, property]) => field(name, resolved(property, schema), required.has(name), isShort));
  // What says nothing of its members, but has something to say, may take any.
  const isOpen = Boolean(root.additionalProperties) || (!root.properties && ['anyOf', 'oneOf', 'allOf', 'patternProperties'].some(word => word in root));
  if (!properties.length && isOpen) fields.push(field(null, { type: 'object', title: 'Arguments' }, false, false));
  const element = h('div', { class: 'fields' }, fields.map(({ element }) => element));
  if (!fields.length && !isShort) element.append(h('p', { class: 'quiet-text' }, 'It takes no arguments.'));
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

function field(name, schema, isRequired, isShort) {
  const id = freshId();
  const kind = kindOf(schema);
  const input = inputOf(kind, schema, id, isShort, isRequired);
  const [hint, trouble] = [h('p', { class: 'hint', id: `${id}h` }, ...hints(schema, kind)), h('p', { class: 'trouble', id: `${id}t`, role: 'alert' })];
  const described = hint.childNodes.length ? `${id}h ${id}t` : `${id}t`;
  dress(input.focus, { 'aria-describedby': described, 'aria-required': isRequired ? 'true' : null });
  const mark = isRequired ? h('span', { class: 'required' }, 'required') : null;
  const title = schema.title && schema.title !== name ? h('span', { class: 'field-title' }, String(schema.title)) : null;
  const label = h(input.isGroup ? 'span' : 'label', { for: input.isGroup ? null : id, id: `${id}l` }, name === null ? '' : h('code', null, name), title, mark);
  const element = h('div', { class: `field is-${kind}`, 'data-field': name ?? '' }, h('div', { class: 'label' }, label), hint.childNodes.length ? hint : null, input.element, trouble);
  if (input.isGroup) dress(input.element, { role: 'group', 'aria-labelledby': `${id}l` });
  const complain = error => {
    say(trouble, error ?? '');
    if (error) input.focus.setAttribute('aria-invalid', 'true');
    else input.focus.removeAttribute('aria-invalid');
  };
  const read = () => {
    const { error, given } = input.read();
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
  if (type === 'array' && options(resolved(schema.items, {}))) return 'choices';
  return ['string', 'number', 'integer', 'boolean'].includes(type) ? type : 'json';
}

/** The values that a schema lists, with what they are called. */
function options(schema) {
  const listed = schema?.oneOf ?? schema?.anyOf;
  if (Array.isArray(listed) && listed.length && listed.every(choice => choice && typeof choice === 'object' && 'const' in choice)) {
    return listed.map(choice => ({ value: choice.const, label: String(choice.title ?? textOf(choice.const)) }));
  }
  if (!Array.isArray(schema?.enum)) return undefined;
  return schema.enum.map((value, at) => ({ value, label: String(schema.enumNames?.[at] ?? textOf(value)) }));
}

const textOf = value => (typeof value === 'string' ? value : JSON.stringify(value));

function inputOf(kind, schema, id, isShort, isRequired) {
  const preset = schema.default;
  if (kind === 'choice') return choice(options(schema), preset, id);
  if (kind === 'choices') return choices(options(resolved(schema.items, {})), preset, id);
  if (kind === 'boolean' && !isRequired && typeof preset !== 'boolean') return choice([{ value: true, label: 'true' }, { value: false, label: 'false' }], undefined, id);
  if (kind === 'boolean') {
    const box = h('input', { type: 'checkbox', id });
    box.checked = preset === true;
    return { element: box, focus: box, read: () => ({ given: box.checked }) };
  }
  const isLine = kind === 'number' || kind === 'integer' || (kind === 'string' && (isShort || schema.format || schema.maxLength <= 200));
  const type = { date: 'date', email: 'email' }[schema.format] ?? 'text';
  const inputmode = kind === 'integer' ? 'numeric' : kind === 'number' ? 'decimal' : null;
  const plain = { id, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', inputmode };
  const input = isLine ? h('input', { type, ...plain }) : h('textarea', { rows: kind === 'json' ? 3 : 1, class: kind === 'json' ? 'mono' : null, ...plain });
  if (preset !== undefined && preset !== null) input.value = kind === 'json' ? pretty(preset) : textOf(preset);
  return { element: input, focus: input, read: () => readText(kind, input.value, schema) };
}

function readText(kind, text, schema) {
  if (kind === 'string') return text === '' ? {} : { given: text };
  const trimmed = text.trim();
  if (trimmed === '') return {};
  if (kind === 'json') {
    try {
      return { given: JSON.parse(trimmed) };
    } catch (error) {
      return { error: `This is not JSON: ${error.message}` };
    }
  }
  const value = Number(trimmed);
  if (!/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed) || !Number.isFinite(value)) return { error: 'This is not a number.' };
  if (kind === 'integer' && !Number.isInteger(value)) return { error: 'This must be a whole number.' };
  if (kind === 'integer' && !Number.isSafeInteger(value)) return { error: 'This page cannot write a number of so many digits.' };
  return { given: value };
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

/** Why a value does not fit; patterns are left to the server, as they could keep this page busy for ever. */
function unfitness(value, schema, kind) {
  if (typeof value === 'number') {
    if (value < schema.minimum) return `This must be at least ${schema.minimum}.`;
    if (value > schema.maximum) return `This must be at most ${schema.maximum}.`;
    if (value <= schema.exclusiveMinimum) return `This must be more than ${schema.exclusiveMinimum}.`;
    if (value >= schema.exclusiveMaximum) return `This must be less than ${schema.exclusiveMaximum}.`;
  }
  if (kind === 'string') {
    const length = [...value].length;
    if (length < schema.minLength) return `This must have at least ${plural(schema.minLength, 'character')}.`;
    if (length > schema.maxLength) return `This must have at most ${plural(schema.maxLength, 'character')}.`;
  }
  const isList = Array.isArray(value);
  if (isList && value.length < schema.minItems) return `There must be at least ${schema.minItems}.`;
  if (isList && value.length > schema.maxItems) return `There must be at most ${schema.maxItems}.`;
  if (kind === 'json' && schema.type === 'object' && (isList || value === null || typeof value !== 'object')) return 'This must be a JSON object: {…}';
  if (kind === 'json' && schema.type === 'array' && !isList) return 'This must be a JSON array: […]';
  return undefined;
}

function hints(schema, kind) {
  const found = [];
  if (schema.description) found.push(h('span', null, String(schema.description)));
  const facts = [];
  if (kind === 'json') facts.push(`${[schema.type ?? 'any value'].flat().join(' or ')}, as JSON`);
  if (kind === 'integer') facts.push('whole number');
  const { minimum: least, maximum: most } = schema;
  if (least !== undefined && most !== undefined) facts.push(`${least} to ${most}`);
  else if (least !== undefined) facts.push(`at least ${least}`);
  else if (most !== undefined) facts.push(`at most ${most}`);
  if (schema.format) facts.push(String(schema.format));
  if (facts.length) found.push(h('span', { class: 'fact' }, facts.join(', ')));
  return found;
}

// Whether a value is what its JSON Schema asks for.

/** Why a value does not fit; patterns are left to the server, as they could keep this page busy for ever. */
function unfitness(value, schema, kind) {
  if (typeof value === 'number') {
    if (value < schema.minimum) return `This must be at least ${schema.minimum}.`;
    if (value > schema.maximum) return `This must be at most ${schema.maximum}.`;
    if (value <= schema.exclusiveMinimum) return `This must be more than ${schema.exclusiveMinimum}.`;
    if (value >= schema.exclusiveMaximum) return `This must be less than ${schema.exclusiveMaximum}.`;
    if (schema.multipleOf > 0 && !isMultiple(value, schema.multipleOf)) return `This must be a multiple of ${schema.multipleOf}.`;
  }
  if (kind === 'string') {
    const length = [...value].length;
    if (length < schema.minLength) return `This must have at least ${plural(schema.minLength, 'character')}.`;
    if (length > schema.maxLength) return `This must have at most ${plural(schema.maxLength, 'character')}.`;
    const format = Object.hasOwn(FORMATS, schema.format ?? '') ? FORMATS[schema.format] : undefined;
    if (format && !format.fits(value)) return `This is no ${format.name}.`;
  }
  const isList = Array.isArray(value);
  if (isList && value.length < schema.minItems) return `There must be at least ${schema.minItems}.`;
  if (isList && value.length > schema.maxItems) return `There must be at most ${schema.maxItems}.`;
  const types = kind === 'json' ? typesOf(schema) : undefined;
  if (types && !types.some(type => isOf(value, type))) {
    if (types.join() === 'object') return 'This must be a JSON object: {…}';
    return types.join() === 'array' ? 'This must be a JSON array: […]' : `This must be ${types.join(' or ')}.`;
  }
  return undefined;
}

/** What texts of a format look like, as far as everybody agrees. */
const FORMATS = {
  email: { name: 'email address', fits: text => /^[^\s@]+@[^\s@]+$/.test(text) },
  uri: { name: 'URI, such as file:///tmp/notes.txt', fits: text => isUri(text) },
  'date-time': {
    name: 'date and time, such as 2026-01-31T12:00:00Z',
    fits: text => /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text.toUpperCase().replace(' ', 'T').replace(/\.\d+/, ''))),
  },
};

function isUri(text) {
  try {
    return Boolean(new URL(text)) && !/\s/.test(text);
  } catch {
    return false;
  }
}

/** Whether a number is a multiple of another, but for what binary fractions cannot say. */
function isMultiple(value, step) {
  const times = value / step;
  return Math.abs(times - Math.round(times)) <= 1e-9 * Math.max(1, Math.abs(times));
}

/** The types that a value may have, also by its alternatives; nothing if it may have any. */
function typesOf(schema) {
  const listed = schema.type ?? (schema.anyOf ?? schema.oneOf)?.map?.(choice => choice.type ?? null);
  const types = [listed ?? null].flat(2);
  return !types.length || types.includes(null) ? undefined : [...new Set(types.map(String))];
}

const TYPES = {
  array: Array.isArray,
  boolean: value => typeof value === 'boolean',
  integer: Number.isInteger,
  null: value => value === null,
  number: value => typeof value === 'number',
  object: value => typeof value === 'object' && value !== null && !Array.isArray(value),
  string: value => typeof value === 'string',
};

/** Whether a value is of a type; a type that nobody knows is left to the server. */
const isOf = (value, type) => !Object.hasOwn(TYPES, type) || TYPES[type](value);

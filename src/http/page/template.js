// URI templates (RFC 6570) whose variables are texts: what they ask for, and what becomes of them.

/** How each operator begins, what it puts between two, whether it writes names, and whether reserved characters stay. */
const OPERATORS = {
  '': { first: '', between: ',' },
  '+': { first: '', between: ',', reserved: true },
  '#': { first: '#', between: ',', reserved: true },
  '.': { first: '.', between: '.' },
  '/': { first: '/', between: '/' },
  ';': { first: ';', between: ';', named: true },
  '?': { first: '?', between: '&', named: true },
  '&': { first: '&', between: '&', named: true },
};

const EXPRESSION = /\{([+#./;?&]?)((?:[\w.%]+(?:\*|:\d{1,4})?)(?:,[\w.%]+(?:\*|:\d{1,4})?)*)\}/g;

const namesIn = list => list.split(',').map(each => /^([^*:]+)(?:\*|:(\d+))?$/.exec(each)).map(([, name, most]) => ({ name, most: most && Number(most) }));

/** The variables of a template in their order: `{ name, isNeeded }`. Without one that is needed the URI would have a hole. */
function variablesOf(template) {
  const found = new Map();
  for (const [, operator, list] of template.matchAll(EXPRESSION)) {
    for (const { name } of namesIn(list)) found.set(name, found.get(name) || operator === '' || operator === '+');
  }
  return [...found].map(([name, isNeeded]) => ({ name, isNeeded }));
}

/** The URI that a template becomes; a variable that has no value leaves nothing behind. */
function expanded(template, values) {
  return template.replace(EXPRESSION, (_, operator, list) => {
    const { first, between, named, reserved } = OPERATORS[operator];
    const parts = namesIn(list).filter(({ name }) => Object.hasOwn(values, name) && values[name] !== '').map(({ name, most }) => {
      const text = encoded([...values[name]].slice(0, most).join(''), reserved);
      return named ? `${name}=${text}` : text;
    });
    return parts.length ? first + parts.join(between) : '';
  });
}

function encoded(text, reserved) {
  if (!reserved) return encodeURIComponent(text).replace(/[!'()*]/g, sign => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
  // RFC 6570, section 3.2.3: reserved characters stay, and so does what is encoded already.
  return encodeURI(text).replace(/%5B/g, '[').replace(/%5D/g, ']').replace(/%25([0-9A-Fa-f]{2})/g, '%$1');
}

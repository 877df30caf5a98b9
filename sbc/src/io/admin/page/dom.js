// Descriptions of elements, and what makes the document like them.
//
// Strings of calls come from strangers: they become text nodes and values of attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
// Of a node: the descriptions that its children were made of, and its listeners.
const made = new WeakMap();
const heard = new WeakMap();

// What an element is to be. `props`: attributes; `key`; `on`: { event: handler }; `style`: { property: value }; `first`: called once with the new node.
export function h(tag, props, ...kids) {
  return { tag, props: props ?? {}, kids: flat(kids) };
}

function flat(kids) {
  return kids.flat(Infinity).filter((kid) => kid !== null && kid !== undefined && kid !== false);
}

// Makes the children of `parent` what is said, and keeps nodes that are there: focus, selection and scrolling stay.
export function show(parent, ...kids) {
  patch(parent, flat(kids), parent.namespaceURI === SVG ? SVG : null);
}

const name = (kid) => (typeof kid === "object" ? `${kid.tag} ${kid.props.key ?? ""}` : "#text");

function patch(parent, kids, space) {
  const old = new Map();
  for (const one of made.get(parent) ?? []) {
    const key = name(one.kid);
    if (old.has(key)) old.get(key).push(one);
    else old.set(key, [one]);
  }
  if (!made.has(parent)) parent.replaceChildren();
  const now = kids.map((kid) => {
    const known = old.get(name(kid))?.shift();
    return { kid, node: known ? update(known, kid) : create(kid, space) };
  });
  for (const rest of old.values()) for (const one of rest) one.node.remove();
  let next = parent.firstChild;
  for (const { node } of now) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
  made.set(parent, now);
}

function create(kid, space) {
  if (typeof kid !== "object") return document.createTextNode(String(kid));
  const own = kid.tag === "svg" ? SVG : space;
  const node = own ? document.createElementNS(own, kid.tag) : document.createElement(kid.tag);
  dress(node, {}, kid.props);
  patch(node, kid.kids, own);
  kid.props.first?.(node);
  return node;
}

function update(known, kid) {
  const { node } = known;
  if (typeof kid !== "object") {
    if (node.data !== String(kid)) node.data = String(kid);
    return node;
  }
  dress(node, known.kid.props, kid.props);
  patch(node, kid.kids, node.namespaceURI === SVG ? SVG : null);
  return node;
}

const OWN = new Set(["key", "on", "style", "first"]);

function dress(node, before, now) {
  for (const key of Object.keys(before)) {
    if (!OWN.has(key) && (now[key] ?? false) === false) node.removeAttribute(key);
  }
  for (const [key, value] of Object.entries(now)) {
    if (OWN.has(key) || value === null || value === undefined || value === false) continue;
    const text = value === true ? "" : String(value);
    if (node.getAttribute(key) !== text) node.setAttribute(key, text);
  }
  for (const [key, value] of Object.entries(now.style ?? {})) node.style.setProperty(key, value);
  listen(node, now.on);
}

function listen(node, on) {
  if (!on && !heard.has(node)) return;
  const known = heard.get(node) ?? new Map();
  heard.set(node, known);
  for (const event of known.keys()) known.set(event, on?.[event]);
  for (const [event, handler] of Object.entries(on ?? {})) {
    if (!known.has(event)) node.addEventListener(event, (said) => known.get(event)?.(said));
    known.set(event, handler);
  }
}

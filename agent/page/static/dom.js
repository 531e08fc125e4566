// Nodes: made once, changed only where they differ. Text of devices only ever becomes textContent.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element; the attributes null, undefined and false are left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) attr(node, name, value);
  node.append(...children);
  return node;
}

export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** Set an attribute; true is an empty one, false, null and undefined take it away. */
export function attr(node, name, value) {
  if (value === false || value === null || value === undefined) node.removeAttribute(name);
  else if (value === true) node.setAttribute(name, "");
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function show(node, visible) {
  attr(node, "hidden", !visible); // SVG elements have no such property
}

const kept = new WeakMap();

/**
 * Let the children of `parent` show `items`, in order. `make(item)` returns a part
 * {node, update(item)}, which lives as long as an item has its key.
 */
export function keyed(parent, items, keyOf, make) {
  const before = kept.get(parent) ?? new Map();
  const parts = new Map();
  items.forEach((item, index) => {
    const key = keyOf(item);
    const part = before.get(key) ?? make(item);
    before.delete(key);
    parts.set(key, part);
    const present = parent.children[index];
    if (present !== part.node) parent.insertBefore(part.node, present ?? null);
    part.update(item);
  });
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  kept.set(parent, parts);
}

// Elements. Text from the report only ever becomes text nodes and attribute values; there is no
// markup in strings anywhere.

const byID = id => document.getElementById(id);

// el returns an element. Attributes that are functions listen for the event of their name; those
// that are null, false or undefined are left out.
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === 'function') e.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) e.setAttribute(name, value === true ? '' : value);
  }
  e.append(...children.filter(c => c !== null && c !== undefined && c !== ''));
  return e;
}

// data returns text of the report, isolated so that its direction changes nothing around it.
const data = (text, attributes) => el('bdi', attributes, clip(text));

const code = text => data(text, {class: 'code'});

// clip shortens what nobody would read to its end.
const clip = (text, most = 300) => text.length > most ? text.slice(0, most) + '…' : text;

// link returns a link to a page, and the text alone if it would lead anywhere else.
function link(url) {
  let to = null;
  try { to = new URL(url); } catch { /* not a URL */ }
  if (!to || (to.protocol !== 'https:' && to.protocol !== 'http:')) return data(url);
  return el('a', {href: to.href, rel: 'noopener noreferrer', target: '_blank'}, data(url));
}

// refButton returns a button that selects a buildpack.
function refButton(ref, text) {
  return el('button', {type: 'button', class: 'ref', 'data-select': ref, click: () => select({ref})}, data(text || ref));
}

// layerButton returns a button that selects a layer.
function layerButton(number, text) {
  return el('button', {type: 'button', class: 'ref', 'data-select-layer': number, click: () => select({layer: number})}, data(text || 'layer ' + number));
}

// fill shows what make returns for the items, a part at a time, so that a list of a hundred
// thousand does not stop the browser.
function fill(list, items, make, part = 200) {
  const add = from => {
    for (const item of items.slice(from, from + part)) {
      const made = make(item);
      if (made) list.append(made);
    }
    const left = items.length - from - part;
    if (left <= 0) return;
    const more = el('button', {type: 'button', class: 'more', click: () => { place.remove(); add(from + part); }}, 'Show ' + Math.min(left, part) + ' more of ' + left);
    const tag = {TBODY: 'tr', DL: 'div'}[list.tagName] || 'li';
    const place = tag === 'tr' ? el('tr', {}, el('td', {colspan: 5}, more)) : el(tag, {}, more);
    list.append(place);
  };
  add(0);
  return list;
}

// size formats a number of bytes.
function size(n) {
  if (n === null || n === undefined) return 'unknown';
  if (n < 1e3) return n + ' B';
  if (n < 1e6) return (n / 1e3).toFixed(1) + ' kB';
  if (n < 1e9) return (n / 1e6).toFixed(1) + ' MB';
  return (n / 1e9).toFixed(2) + ' GB';
}

const count = (n, noun) => n + ' ' + noun + (n === 1 ? '' : 's');

const short = digest => digest.replace(/^sha256:/, '').slice(0, 12);

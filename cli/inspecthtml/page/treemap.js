// The treemap: groups of layers, layers in them, and buildpacks in those, each as large as its
// share of the bytes.

// HEADING is the height of a label above what a rectangle contains, and EDGE the space around it.
const HEADING = 18, EDGE = 2;

// LINE is the height of a line of text in a rectangle, and LETTER about the width of a letter.
const LINE = 14, LETTER = 6.6;

// drawMap draws the layers of a model into the map, for its width at this moment.
function drawMap(m) {
  const map = byID('map');
  const box = {x: 0, y: 0, w: map.clientWidth, h: map.clientHeight};
  const main = weigh(m, m.layers.filter(l => !l.aside)), aside = weigh(m, m.layers.filter(l => l.aside));
  m.raised = main.some(l => l.raised);
  const [above, below] = split(box, sum(main), sum(aside));
  const groups = new Map();
  for (const l of main) {
    const g = groups.get(l.layer.group) || {key: l.layer.group, weight: 0, layers: []};
    g.weight += l.weight;
    g.layers.push(l);
    groups.set(g.key, g);
  }
  map.replaceChildren(...within(above, box, [...groups.values()], drawGroup(m, groups.size)));
  if (aside.length) map.append(strip(m, aside, below, box, m.image.app ? 'Run image' : 'Without buildpacks'));
  for (const [i, piece] of pieces().entries()) piece.tabIndex = i ? -1 : 0;
}

const sum = items => items.reduce((all, i) => all + i.weight, 0);

// weigh returns layers with their weights, which are bytes. Layers of unknown size get the median of
// the others, and every rectangle enough to be seen, which is little where there are many.
function weigh(m, layers) {
  const sizes = m.layers.filter(l => l.known).map(l => l.size).sort((a, b) => a - b);
  const bytes = layer => layer.known ? layer.size : sizes[sizes.length >> 1] || 1;
  const parts = layer => Math.max(1, layer.pieces.length);
  const rectangles = layers.reduce((n, l) => n + parts(l), 0);
  const least = Math.max(1, layers.reduce((all, l) => all + bytes(l), 0) / (12 * rectangles));
  return layers.map(layer => ({layer, weight: Math.max(bytes(layer), least * parts(layer)), raised: bytes(layer) < least * parts(layer)}));
}

// split divides a box into that of what matters and a strip for the rest, which is never so large
// that it hides the former, nor too small to see.
function split(box, above, below) {
  if (!below) return [box, null];
  if (!above) return [null, box];
  const h = Math.round(Math.min(Math.max(box.h * below / (above + below), 52), box.h * 0.2));
  return [{...box, h: box.h - h}, {...box, y: box.h - h, h}];
}

// strip draws the layers that have no buildpacks, dimmed.
function strip(m, layers, box, outer, name) {
  const all = m.unit && total(layers.map(l => l.layer), m.unit);
  const said = name + ': ' + count(layers.length, 'layer') + (all ? ', ' + size(all) : '');
  return container('group others', box, outer, said, layers, drawLayer(m, true));
}

// drawGroup returns what draws a group of layers.
const drawGroup = (m, groups) => (g, box, outer) => {
  if (groups === 1) return container('group plain', box, outer, '', g.layers, drawLayer(m));
  const buildpacks = g.layers.reduce((n, l) => n + l.layer.pieces.length, 0);
  const all = m.unit && total(g.layers.map(l => l.layer), m.unit);
  const only = g.layers.length === 1 ? g.layers[0].layer.number : 0;
  const more = [all ? size(all) : '', buildpacks ? count(buildpacks, 'buildpack') : '', only ? 'layer ' + only : count(g.layers.length, 'layer')].filter(Boolean);
  const e = container('group tinted', box, outer, groupName(m, g.key), g.layers, drawLayer(m, false, only > 0), more.join(' · '));
  e.dataset.tint = tintOf(m, g.key);
  return e;
};

const tintOf = (m, key) => m.modules.has(key) ? m.modules.get(key).tint : OTHER[key] ? key : 'single';

// drawLayer returns what draws a layer: dimmed, or without a label because what it is in has one.
const drawLayer = (m, dim, unlabelled) => (l, box, outer) => {
  const layer = l.layer;
  if (!layer.pieces.length) {
    const e = place(el('div', {class: 'layer', 'data-layer': layer.number}), box, outer);
    e.append(piece(m, layer, null, box, dim ? 'other' : layer.tint, layer.holds || layer.part));
    return e;
  }
  const parts = layer.pieces.map(p => ({...p, weight: Math.max(p.share, 0.1 / layer.pieces.length)}));
  const draw = (p, inner, around) => place(piece(m, layer, p, inner, p.module.tint, lastOf(p.module.id)), inner, around);
  const single = parts.length === 1;
  const said = single || unlabelled ? '' : 'Layer ' + layer.number;
  const e = container(single ? 'layer single' : 'layer shared', box, outer, said, parts, draw, size(layer.size) + ' · ' + count(parts.length, 'buildpack'));
  e.dataset.layer = layer.number;
  return e;
};

// piece returns the button of a buildpack, or of a layer without any.
function piece(m, layer, p, box, tint, text) {
  const ref = p ? p.module.ref : null; // of a layer without, its number counts
  const facts = tipOf(m, layer, p);
  const b = el('button', {
    type: 'button', class: 'piece', 'data-tint': tint, 'data-ref': ref, 'data-number': layer.number,
    'data-select': ref, 'data-select-layer': ref === null ? layer.number : null,
    'data-estimated': p && p.estimated, 'data-unknown': !layer.known,
    'aria-label': clip(facts.join(', ')),
    click: () => select(ref === null ? {layer: layer.number} : {ref}),
    pointerenter: e => showTip(b, facts, e), pointermove: e => moveTip(e.clientX, e.clientY), pointerleave: hideTip,
    focus: () => { rove(b); if (b.matches(':focus-visible')) showTip(b, facts); }, blur: hideTip,
  });
  const of = bytesOf(m, layer, p);
  const lines = Math.floor((box.h - 5) / LINE), fits = word => word.length * LETTER < box.w - 12;
  if (box.w < 30 || lines < 1) return b;
  const whole = text.split(/(?<=[-\s])/).every(fits);
  const wanted = whole ? Math.min(3, lines, Math.ceil(text.length * LETTER / (box.w - 12))) : 1;
  const name = data(text, {class: whole ? 'name' : 'name cut'});
  name.style.setProperty('-webkit-line-clamp', wanted);
  b.append(name);
  const more = [p && p.module.version, of !== null && (p && layer.pieces.length > 1 ? '≈ ' : '') + size(of)].filter(Boolean).filter(fits);
  for (const text of more.slice(0, lines - wanted)) b.append(data(text, {class: 'more'}));
  return b;
}

// bytesOf returns the bytes in the unit of the map: of a layer, or of a buildpack's share in it.
function bytesOf(m, layer, p) {
  if (!p) return layer.size;
  if (m.unit === 'bytes' && p.module.bytes !== null) return p.module.bytes;
  return layer.size === null ? null : Math.round(layer.size * p.share);
}

// tipOf returns the facts that stand beside the pointer.
function tipOf(m, layer, p) {
  const facts = [];
  if (p) facts.push(p.module.ref); else facts.push([...layer.refs, layer.holds || layer.part].join(': '));
  if (p && p.module.bytes !== null) facts.push(size(p.module.bytes) + ' uncompressed');
  if (p && p.estimated) facts.push('its size is unknown: drawn as an equal part of its layer');
  const sizes = [layer.compressed_bytes === null ? '' : size(layer.compressed_bytes) + ' compressed', layer.bytes === null ? '' : size(layer.bytes) + ' uncompressed'].filter(Boolean);
  facts.push('layer ' + layer.number + ': ' + (sizes.join(', ') || 'size unknown') + (layer.pieces.length > 1 ? ', shared by ' + layer.pieces.length : ''));
  facts.push('diffID ' + short(layer.diff_id));
  return facts;
}

// container returns a rectangle with a label, if there is room for one, and rectangles in it.
function container(kind, box, outer, name, items, draw, more) {
  const labelled = name && box.h > 2.5 * HEADING && box.w > 40;
  const e = place(el('div', {class: kind}), box, outer);
  if (labelled) e.append(el('div', {class: 'heading'}, data(name, {class: 'name'}), more && box.w > 110 ? el('span', {class: 'more'}, more) : null));
  const top = labelled ? HEADING : kind.includes('single') || kind.includes('plain') ? 0 : EDGE;
  const side = kind.includes('single') || kind.includes('plain') ? 0 : EDGE;
  const inner = {x: 0, y: 0, w: Math.max(1, box.w - 2 * side), h: Math.max(1, box.h - top - side)};
  const content = el('div', {class: 'inner'}, ...within(inner, inner, items, draw));
  Object.assign(content.style, {top: top + 'px', left: side + 'px', right: side + 'px', bottom: side + 'px'});
  e.append(content);
  return e;
}

// within lays the items out in a box, and draws each.
const within = (box, outer, items, draw) => box ? squarify(items, box).map(([item, at]) => draw(item, at, outer)) : [];

// place puts an element where a box is within an outer one, in percent: then the map keeps its
// proportions when it is printed.
function place(e, box, outer) {
  const percent = (n, of) => (100 * n / of).toFixed(4) + '%';
  Object.assign(e.style, {left: percent(box.x, outer.w), top: percent(box.y, outer.h), width: percent(box.w, outer.w), height: percent(box.h, outer.h)});
  return e;
}

// squarify divides a box among items by their weights, into rectangles as square as a simple
// greedy choice makes them (Bruls, Huizing, van Wijk: Squarified Treemaps).
function squarify(items, box) {
  const sorted = [...items].sort((a, b) => b.weight - a.weight);
  const scale = box.w * box.h / sum(sorted);
  const placed = [];
  let {x, y, w, h} = box;
  for (let from = 0; from < sorted.length;) {
    const side = Math.min(w, h);
    let area = 0, worst = Infinity, to = from;
    for (; to < sorted.length; to++) {
      const next = area + sorted[to].weight * scale;
      const depth = next / side;
      const ratio = item => Math.max(depth * depth / (item.weight * scale), item.weight * scale / (depth * depth));
      const now = Math.max(ratio(sorted[from]), ratio(sorted[to]));
      if (now > worst) break;
      worst = now;
      area = next;
    }
    const depth = area / side;
    let along = 0;
    for (const item of sorted.slice(from, to)) {
      const length = item.weight * scale / depth;
      placed.push([item, w >= h ? {x, y: y + along, w: depth, h: length} : {x: x + along, y, w: length, h: depth}]);
      along += length;
    }
    if (w >= h) { x += depth; w -= depth; } else { y += depth; h -= depth; }
    w = Math.max(w, 1e-6);
    h = Math.max(h, 1e-6);
    from = to;
  }
  return placed;
}

const pieces = () => [...document.querySelectorAll('#map .piece')];

// walk moves the focus among the rectangles: to the nearest one in the direction of an arrow key.
function walk(event) {
  const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  const here = document.activeElement;
  if (!way || !here.classList.contains('piece')) return;
  event.preventDefault();
  const middle = e => { const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; };
  const [x, y] = middle(here);
  let best = null, least = Infinity;
  for (const other of pieces()) {
    const [ox, oy] = middle(other);
    const along = (ox - x) * way[0] + (oy - y) * way[1], across = Math.abs((ox - x) * way[1]) + Math.abs((oy - y) * way[0]);
    if (along > 1 && along + 2 * across < least) { least = along + 2 * across; best = other; }
  }
  if (best) best.focus();
}

// rove makes a rectangle the one that the tab key reaches; arrow keys reach the others.
function rove(to) {
  for (const p of document.querySelectorAll('#map [tabindex="0"]')) p.tabIndex = -1;
  to.tabIndex = 0;
}

function showTip(target, facts, event) {
  const tip = byID('tip');
  tip.replaceChildren(...facts.map(f => el('div', {}, data(f))));
  tip.hidden = false;
  const r = target.getBoundingClientRect();
  if (event) moveTip(event.clientX, event.clientY); else moveTip(r.x + r.width / 2, r.bottom - 8);
}

function moveTip(x, y) {
  const tip = byID('tip'), w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - w - 8)) + 'px';
  tip.style.top = (y + 18 + h > innerHeight ? Math.max(4, y - h - 12) : y + 18) + 'px';
}

function hideTip() {
  byID('tip').hidden = true;
}

// What the page needs to know of an image, computed once for each.

// COLOURS is how many colours the style sheet has for top-level composites.
const COLOURS = 10;

const OTHER = {shared: 'shared', single: 'component buildpacks', extension: 'extensions', root: 'the package itself', none: 'in no order'};

// model returns the modules by ref with their group, the edges between them, and the layers with
// what the treemap draws.
function model(image) {
  const m = {image, modules: new Map(), parents: new Map(), groups: new Map()};
  for (const one of image.modules) m.modules.set(one.ref, {...one, group: 'none', tint: 'none'});
  // An app image has no modules, only the names of the buildpacks that took part; and a label may
  // name what is nowhere else.
  for (const one of image.app ? image.app.buildpacks : []) known(m, one.ref, one);
  for (const layer of image.layers) for (const ref of layer.refs) known(m, ref, {});
  for (const parent of m.modules.values()) {
    for (const child of refsOf(parent.order)) {
      if (!m.parents.has(child)) m.parents.set(child, new Set());
      m.parents.get(child).add(parent.ref);
    }
  }
  group(m);
  m.unit = unit(image.layers);
  m.layers = image.layers.map(layer => drawn(m, layer));
  return m;
}

// known adds a module of which there is little more than a ref.
function known(m, ref, facts) {
  if (m.modules.has(ref)) return;
  m.modules.set(ref, {ref, id: ref.split('@')[0], version: ref.split('@')[1] || '', kind: 'buildpack', api: '', stacks: [], targets: [], order: [], bytes: null, group: 'none', tint: 'none', ...facts});
}

// refsOf returns the modules that an order names, each once.
function refsOf(order) {
  const refs = new Set();
  for (const g of order) for (const e of g.group) if (e.ref) refs.add(e.ref);
  return refs;
}

// group finds the top-level composite through which each module is reached, or that there are
// several. A module changes at most twice, so that the work is bounded by the number of entries.
function group(m) {
  if (m.image.app) {
    [...m.modules.values()].forEach((one, i) => { one.group = one.ref; one.tint = 'c' + i % COLOURS; });
    m.top = [];
    return;
  }
  const top = [...refsOf(m.image.order)].filter(ref => m.modules.has(ref));
  const composites = top.filter(ref => m.modules.get(ref).order.length > 0);
  const colours = new Map((composites.length ? composites : top).map((ref, i) => [ref, 'c' + i % COLOURS]));
  const waiting = composites.map(ref => [ref, ref]);
  const owner = new Map();
  while (waiting.length) {
    const [ref, by] = waiting.pop();
    const before = owner.get(ref);
    if (!m.modules.has(ref) || before === by || before === 'shared') continue;
    const now = before === undefined ? by : 'shared';
    owner.set(ref, now);
    for (const child of refsOf(m.modules.get(ref).order)) waiting.push([child, now]);
  }
  for (const ref of top) if (!m.modules.get(ref).order.length) owner.set(ref, owner.has(ref) ? 'shared' : 'single');
  const root = m.image.buildpackage ? m.image.buildpackage.id + '@' + m.image.buildpackage.version : '';
  for (const [ref, one] of m.modules) {
    one.group = owner.get(ref) || (one.kind === 'extension' ? 'extension' : ref === root ? 'root' : 'none');
    one.tint = colours.get(composites.length ? one.group : ref) || one.group;
  }
  m.top = top;
}

// unit returns which of a layer's sizes is known for the most layers; the compressed one if both
// are.
function unit(layers) {
  const known = key => layers.filter(l => l[key] !== null).length;
  const compressed = known('compressed_bytes'), plain = known('bytes');
  if (!compressed && !plain) return null;
  return compressed >= plain ? 'compressed_bytes' : 'bytes';
}

// drawn returns what is drawn of a layer: its size, the group that it stands in or that it stands
// aside, and the share that each module has in it.
function drawn(m, layer) {
  const of = {...layer, known: m.unit !== null && layer[m.unit] !== null, size: m.unit === null ? null : layer[m.unit], pieces: [], aside: false};
  if (m.image.app) {
    const ref = layer.refs[0];
    return {...of, group: ref || layer.part, tint: ref ? m.modules.get(ref).tint : 'single', aside: layer.part === 'run image'};
  }
  const modules = layer.refs.map(ref => m.modules.get(ref));
  const sized = layer.refs.length === 1 || modules.every(one => one.bytes !== null);
  const whole = modules.reduce((sum, one) => sum + (one.bytes || 0), 0);
  const share = one => layer.refs.length === 1 ? 1 : sized && whole > 0 ? one.bytes / whole : 1 / modules.length;
  const groups = new Set(modules.map(one => one.group));
  return {
    ...of,
    pieces: modules.map(one => ({module: one, share: share(one), estimated: !sized})),
    group: groups.size === 1 ? [...groups][0] : groups.size ? 'shared' : layer.part,
    tint: 'single',
    aside: !groups.size && m.modules.size > 0,
  };
}

// lastOf returns the last part of an ID, which says more than the first where there is little room.
const lastOf = id => id.slice(id.lastIndexOf('/') + 1);

// groupName names a group of modules.
function groupName(m, key) {
  const one = m.modules.get(key);
  return one ? lastOf(one.id) : OTHER[key] || key;
}

// total returns the sum of a size over all layers, or null if it is not known of each.
function total(layers, key) {
  return layers.every(l => l[key] !== null) ? layers.reduce((sum, l) => sum + l[key], 0) : null;
}

// matching returns the modules that a filter finds, and null for the empty one. Every word of the
// filter must be in the ref or in the name.
function matching(m, filter) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  const found = new Set();
  for (const one of m.modules.values()) {
    const text = (one.ref + ' ' + (one.name || '')).toLowerCase();
    if (words.every(w => text.includes(w))) found.add(one.ref);
  }
  const layers = new Set();
  for (const layer of m.layers) {
    const text = (layer.part + ' ' + (layer.holds || '')).toLowerCase();
    if (layer.refs.some(ref => found.has(ref)) || (!layer.pieces.length && words.every(w => text.includes(w)))) layers.add(layer.number);
  }
  return {refs: found, layers, above: above(m, found)};
}

// above returns the modules that have one of these somewhere in their order.
function above(m, refs) {
  const all = new Set(), waiting = [...refs];
  while (waiting.length) {
    for (const parent of m.parents.get(waiting.pop()) || []) {
      if (!all.has(parent)) { all.add(parent); waiting.push(parent); }
    }
  }
  return all;
}

// pathTo returns the shortest way from a top-level module down to this one.
function pathTo(m, ref) {
  const top = new Set(m.top), from = new Map([[ref, null]]);
  let waiting = [ref];
  while (waiting.length) {
    const next = [];
    for (const at of waiting) {
      if (top.has(at)) {
        const path = [];
        for (let r = at; r !== null; r = from.get(r)) path.push(r);
        return path;
      }
      for (const parent of m.parents.get(at) || []) {
        if (!from.has(parent)) { from.set(parent, at); next.push(parent); }
      }
    }
    waiting = next;
  }
  return [];
}

// The order tree. Composites are filled when they are opened: an order may name the same composite
// at many places, and the whole tree can be far larger than what it is made of.

// OPENED is how many composites a filter opens by itself.
const OPENED = 60;

// drawTree draws the orders of an image; with a filter, only what it finds and the way to it.
function drawTree(m, match) {
  const state = {m, match, left: match ? OPENED : 0};
  const image = m.image, tree = byID('tree');
  const parts = [];
  const part = (name, content) => { if (content) parts.push(name ? el('h3', {}, name) : '', content); };
  const system = image.builder ? image.builder.system : {pre: [], post: []};
  part(system.pre.length && 'Before every group', entries(state, system.pre, []));
  part(parts.length || image.order_extensions.length ? 'Buildpacks' : '', order(state, image.order, []));
  part('After every group', entries(state, system.post, []));
  part('Extensions', order(state, image.order_extensions, []));
  const reached = new Set(), waiting = [...system.pre, ...system.post].map(e => e.ref || '').concat(...refsOf(image.order), ...refsOf(image.order_extensions));
  while (waiting.length) {
    const ref = waiting.pop();
    if (reached.has(ref) || !m.modules.has(ref)) continue;
    reached.add(ref);
    waiting.push(...refsOf(m.modules.get(ref).order));
  }
  const rest = [...m.modules.values()].filter(one => !reached.has(one.ref)).map(one => ({id: one.id, version: one.version, ref: one.ref}));
  const root = m.image.buildpackage ? 'The package itself, and what its order does not reach' : 'In no order';
  part(root, entries(state, rest, []));
  byID('order').hidden = !m.modules.size;
  tree.replaceChildren(...(parts.length ? parts : [el('p', {class: 'note'}, 'Nothing matches.')]));
}

// order returns the list of an order's groups, or null if nothing in it is shown.
function order(state, groups, path) {
  const shown = groups.map((g, i) => ({number: i + 1, entries: g.group.filter(e => visible(state, e))})).filter(g => g.entries.length);
  if (!shown.length) return null;
  if (groups.length === 1) return entries(state, shown[0].entries, path);
  return fill(el('ol', {class: 'groups'}), shown, g => {
    const item = el('li', {value: g.number}, g.entries.length === 1 ? entry(state, g.entries[0], path) : entries(state, g.entries, path));
    return item;
  });
}

function entries(state, list, path) {
  const shown = list.filter(e => visible(state, e));
  return shown.length ? fill(el('ul', {class: 'entries'}), shown, e => el('li', {}, entry(state, e, path))) : null;
}

function visible(state, e) {
  if (!state.match) return true;
  return state.match.refs.has(e.ref) || state.match.above.has(e.ref);
}

// entry returns one entry: a line, or for a composite one that opens.
function entry(state, e, path) {
  const one = e.ref ? state.m.modules.get(e.ref) : null;
  if (!one) return el('div', {class: 'entry missing'}, data(e.version ? e.id + '@' + e.version : e.id), el('span', {class: 'tag'}, 'not in the image, or ambiguous'));
  const line = [el('span', {class: 'swatch', 'data-tint': one.tint}), refButton(e.ref)];
  if (e.optional) line.push(el('span', {class: 'tag'}, 'optional'));
  if (!one.order.length) return el('div', {class: 'entry line'}, ...line);
  if (path.includes(e.ref)) return el('div', {class: 'entry line missing'}, ...line, el('span', {class: 'tag'}, 'contains itself'));
  const inside = refsOf(one.order).size;
  const details = el('details', {class: 'entry', 'data-composite': e.ref}, el('summary', {}, el('span', {class: 'line'}, ...line, el('span', {class: 'tag', title: count(inside, 'buildpack') + ' in its order'}, String(inside)))));
  const open = () => {
    if (details.childElementCount > 1) return;
    // If only the composite itself matches, all that it contains is shown.
    const within = state.match && !state.match.above.has(e.ref) ? {...state, match: null} : state;
    details.append(order(within, one.order, [...path, e.ref]) || el('p', {class: 'note'}, 'Its order is empty.'));
  };
  details.addEventListener('toggle', () => { if (details.open) { open(); mark(); } });
  if (state.match && state.match.above.has(e.ref) && state.left > 0) {
    state.left--;
    details.open = true;
    open();
  }
  return details;
}

// reveal opens the way to a module.
function reveal(m, ref) {
  let within = byID('tree');
  for (const at of pathTo(m, ref).slice(0, -1)) {
    const details = [...within.querySelectorAll('details')].find(d => d.dataset.composite === at);
    if (!details) return;
    details.open = true;
    if (details.childElementCount === 1) details.dispatchEvent(new Event('toggle'));
    within = details;
  }
}

// The page: what is shown of the report, and how that changes.

const root = document.documentElement;

// The number of errors is in the document, where a test can see it.
const failed = () => { root.dataset.errors = Number(root.dataset.errors) + 1; };
addEventListener('error', failed);
addEventListener('unhandledrejection', failed);
addEventListener('securitypolicyviolation', failed);

const report = JSON.parse(byID('report').textContent);
const state = {image: 0, filter: '', selected: {}, sort: {column: 0, way: 1}, model: null, match: null};

// show draws an image from scratch.
function show(i) {
  state.image = i;
  state.model = model(report.images[i]);
  state.selected = {};
  drawHeader(report, state.model);
  drawMap(state.model);
  note(state.model);
  applyFilter(state.filter);
  drawDetails(state.model, state.selected);
}

// note says how the map is to be read.
function note(m) {
  const parts = [m.unit === 'compressed_bytes' ? 'Areas are compressed sizes.' : m.unit ? 'Areas are uncompressed sizes.' : 'Sizes are unknown: all layers are drawn equal.'];
  if (m.unit && m.layers.some(l => l.pieces.length > 1)) parts.push('In a shared layer, buildpacks are drawn by their uncompressed size.');
  if (m.layers.some(l => l.pieces.some(p => p.estimated))) parts.push('Hatched: the size within the layer is unknown.');
  if (m.raised) parts.push('The smallest are drawn larger than they are.');
  if (m.layers.some(l => l.aside)) parts.push('The layers at the bottom have a scale of their own.');
  byID('map-note').textContent = parts.join(' ');
}

// applyFilter shows in the map, the tree and the table what a filter finds.
function applyFilter(filter) {
  state.filter = filter;
  const m = state.model, match = state.match = matching(m, filter);
  byID('map').classList.toggle('filtered', Boolean(match));
  for (const p of pieces()) p.classList.toggle('out', Boolean(match) && !(p.dataset.ref === undefined ? match.layers.has(Number(p.dataset.number)) : match.refs.has(p.dataset.ref)));
  if (m.image.app) drawApp(m, match); else { byID('order-heading').textContent = 'Order'; drawTree(m, match); }
  drawTable(m, match, state.sort);
  const modules = m.modules.size, layers = m.layers.length;
  byID('count').textContent = match
    ? (modules ? match.refs.size + ' of ' + count(modules, 'buildpack') + ' in ' : '') + match.layers.size + ' of ' + count(layers, 'layer')
    : (modules ? count(modules, 'buildpack') + ' in ' : '') + count(layers, 'layer');
  mark();
  keep();
}

function resort(column, way) {
  state.sort = {column, way};
  drawTable(state.model, state.match, state.sort);
  mark();
}

// select selects a buildpack, a layer or nothing.
function select(what) {
  state.selected = what;
  drawDetails(state.model, what);
  if (what.ref) reveal(state.model, what.ref);
  mark();
  const inTree = document.querySelector('#tree .selected');
  if (inTree) scrollWithin(byID('tree'), inTree);
  keep();
}

// scrollWithin scrolls a box, but never the page, to an element.
function scrollWithin(box, e) {
  const a = box.getBoundingClientRect(), b = e.getBoundingClientRect();
  if (b.top < a.top || b.bottom > a.bottom) box.scrollTop += b.top - a.top - a.height / 3;
}

// mark marks what is selected, wherever it is.
function mark() {
  const {ref, layer} = state.selected, m = state.model;
  const layers = new Set(layer ? [layer] : m.layers.filter(l => ref && l.refs.includes(ref)).map(l => l.number));
  for (const e of document.querySelectorAll('[data-select], [data-select-layer], [data-row], .layer')) {
    const d = e.dataset;
    const is = d.select !== undefined ? d.select === ref : d.selectLayer !== undefined ? layers.has(Number(d.selectLayer)) && (layer || m.image.app) : layers.has(Number(d.row || d.layer));
    e.classList.toggle('selected', Boolean(is));
  }
}

// keep puts the state into the address, so that it survives a reload and can be shared.
function keep() {
  const p = new URLSearchParams();
  if (state.image) p.set('target', report.images[state.image].target);
  if (state.filter) p.set('filter', state.filter);
  if (state.selected.ref) p.set('select', state.selected.ref);
  if (state.selected.layer) p.set('layer', state.selected.layer);
  const hash = p.toString();
  if (hash === location.hash.slice(1)) return;
  try { history.replaceState(null, '', hash ? '#' + hash : location.pathname + location.search); } catch { /* not where the page has no address of its own */ }
}

// follow does what the address says.
function follow() {
  const p = new URLSearchParams(location.hash.slice(1));
  const i = Math.max(0, report.images.findIndex(image => image.target === p.get('target')));
  state.filter = byID('filter').value = p.get('filter') || '';
  byID('target').selectedIndex = i;
  show(i);
  const m = state.model, ref = p.get('select'), layer = Number(p.get('layer'));
  if (m.modules.has(ref)) select({ref}); else if (m.layers.some(l => l.number === layer)) select({layer});
}

function start() {
  if (!report.images.length) return;
  byID('target').append(...report.images.map((image, i) => el('option', {value: i}, clip(image.target || 'image ' + (i + 1)))));
  byID('target-label').hidden = report.images.length < 2;
  byID('target').addEventListener('change', e => show(e.target.selectedIndex));
  byID('filter').addEventListener('input', e => applyFilter(e.target.value));
  byID('map').addEventListener('keydown', walk);
  addEventListener('hashchange', follow);
  addEventListener('keydown', e => {
    if (e.key === '/' && document.activeElement !== byID('filter') && !e.ctrlKey && !e.metaKey && !e.altKey) { e.preventDefault(); byID('filter').focus(); }
    if (e.key === 'Escape') { hideTip(); if (document.activeElement === byID('filter') && state.filter) applyFilter(byID('filter').value = ''); else select({}); }
  });
  follow();
  let width = byID('map').clientWidth;
  new ResizeObserver(() => {
    if (byID('map').clientWidth === width) return;
    width = byID('map').clientWidth;
    drawMap(state.model);
    applyFilter(state.filter);
  }).observe(byID('map'));
  root.dataset.ready = 'true';
}

start();

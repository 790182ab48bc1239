// What is known of the selected buildpack or layer.

function drawDetails(m, selected) {
  const one = selected.ref ? m.modules.get(selected.ref) : null;
  const layer = m.layers.find(l => l.number === (one ? one.layer : selected.layer));
  const place = byID('details');
  place.hidden = !one && !layer;
  if (place.hidden) return;
  place.replaceChildren(
    el('button', {type: 'button', class: 'close', 'aria-label': 'Close', click: () => select({})}, '×'),
    ...(one ? moduleDetails(m, one, layer) : layerDetails(m, layer)),
  );
}

// list returns a definition list of what is not empty.
function list(...facts) {
  const dl = el('dl');
  for (const [name, ...values] of facts) if (values.some(Boolean)) dl.append(el('div', {}, el('dt', {}, name), el('dd', {}, ...values)));
  return dl;
}

const refList = (refs, part = 8) => fill(el('ul', {class: 'chips'}), refs, ref => el('li', {}, refButton(ref)), part);

function moduleDetails(m, one, layer) {
  const parents = [...(m.parents.get(one.ref) || [])];
  const others = layer ? layer.refs.filter(ref => ref !== one.ref) : [];
  const targets = one.targets.length ? one.targets : one.stacks;
  return [
    el('h2', {}, el('span', {class: 'swatch', 'data-tint': one.tint}), data(one.ref)),
    one.name ? el('p', {}, data(one.name)) : '',
    list(
      ['Kind', one.kind === 'extension' ? 'extension' : one.order.length ? 'composite buildpack' : 'component buildpack', one.api ? data(', API ' + one.api) : ''],
      ['Size', one.bytes === null ? '' : size(one.bytes) + ' uncompressed'],
      ['Layer', layer && layerButton(layer.number), layer && layer.compressed_bytes !== null ? ', ' + size(layer.compressed_bytes) + ' compressed' : ''],
      [one.targets.length ? 'Targets' : 'Stacks', targets.length && data(targets.join(', '))],
      ['Homepage', one.homepage && link(one.homepage)],
      ['In the order of', parents.length && refList(parents)],
      ['Contains', one.order.length && refList([...refsOf(one.order)])],
      ['Shares its layer with', others.length && refList(others)],
      ['Dependencies', (one.dependencies || []).length && fill(el('ul'), one.dependencies, d => el('li', {}, data(d.id + ' ' + d.version), d.deprecation_date ? data(' until ' + d.deprecation_date, {class: 'dim'}) : ''), 8)],
      ['Default versions', one.default_versions && data(Object.entries(one.default_versions).map(([k, v]) => k + ' ' + v).join(', '))],
    ),
  ];
}

function layerDetails(m, layer) {
  return [
    el('h2', {}, 'Layer ' + layer.number),
    layer.holds ? el('p', {}, data(layer.holds)) : '',
    list(
      ['Size', [layer.compressed_bytes === null ? '' : size(layer.compressed_bytes) + ' compressed', layer.bytes === null ? '' : size(layer.bytes) + ' uncompressed'].filter(Boolean).join(', ') || 'unknown'],
      ['Digest', layer.digest && code(layer.digest)],
      ['DiffID', code(layer.diff_id)],
      ['Holds', layer.refs.length && refList(layer.refs, 20)],
    ),
  ];
}

// drawApp draws what an application consists of, in the place of the order.
function drawApp(app) {
  byID('order-heading').textContent = 'Buildpacks and processes';
  byID('tree').replaceChildren(
    fill(el('ol', {class: 'groups'}), app.buildpacks, b => el('li', {}, el('div', {class: 'entry'}, data(b.ref), b.kind === 'extension' ? el('span', {class: 'tag'}, 'extension') : '', b.homepage ? el('span', {class: 'tag'}, link(b.homepage)) : ''))),
    el('h3', {}, 'Processes'),
    fill(el('dl'), app.processes, p => el('div', {}, el('dt', {}, data(p.type)), el('dd', {}, code([...p.command, ...p.args].join(' ')), p.buildpack ? el('div', {class: 'dim'}, data(p.buildpack)) : ''))),
  );
}

// isBase reports whether a layer of an app image belongs to its run image.
function isBase(m, layer) {
  if (!m.image.app) return false;
  const top = m.image.layers.find(l => l.diff_id === m.image.app.run_image_top_layer);
  return Boolean(top) && layer.number <= top.number;
}

// tintOfLayer returns the colour of a layer of an app image, by the buildpack that it names.
function tintOfLayer(m, layer) {
  const all = m.image.app ? m.image.app.buildpacks : [];
  const i = all.findIndex(b => (layer.holds || '').includes(b.ref.split('@')[0]));
  return i < 0 ? 'single' : 'c' + i % COLOURS;
}

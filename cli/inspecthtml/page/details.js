// What is known of the selected buildpack or layer.

function drawDetails(m, selected) {
  const one = selected.ref ? m.modules.get(selected.ref) : null;
  const layer = m.layers.find(l => l.number === (one ? one.layer : selected.layer));
  const layers = one ? m.layers.filter(l => l.refs.includes(one.ref)) : [];
  const place = byID('details');
  place.hidden = !one && !layer;
  if (place.hidden) return;
  place.replaceChildren(
    el('button', {type: 'button', class: 'close', 'aria-label': 'Close', click: () => select({})}, '×'),
    ...(one ? moduleDetails(m, one, layers) : layerDetails(m, layer)),
  );
}

// list returns a definition list of what is not empty.
function list(...facts) {
  const dl = el('dl');
  for (const [name, ...values] of facts) if (values.some(Boolean)) dl.append(el('div', {}, el('dt', {}, name), el('dd', {}, ...values)));
  return dl;
}

const refList = (refs, part = 8) => fill(el('ul', {class: 'chips'}), refs, ref => el('li', {}, refButton(ref)), part);

function moduleDetails(m, one, layers) {
  const parents = [...(m.parents.get(one.ref) || [])];
  const others = layers.length === 1 ? layers[0].refs.filter(ref => ref !== one.ref) : [];
  const targets = one.targets.length ? one.targets : one.stacks;
  return [
    el('h2', {}, el('span', {class: 'swatch', 'data-tint': one.tint}), data(one.ref)),
    one.name ? el('p', {}, data(one.name)) : '',
    list(
      ['Kind', one.kind === 'extension' ? 'extension' : m.image.app ? 'buildpack' : one.order.length ? 'composite buildpack' : 'component buildpack', one.api ? data(', API ' + one.api) : ''],
      ['Size', one.bytes === null ? '' : size(one.bytes) + ' uncompressed'],
      [layers.length === 1 ? 'Layer' : 'Layers', layers.length && fill(el('ul', {class: 'plain'}), layers, l => el('li', {}, layerButton(l.number), l.compressed_bytes === null ? '' : ', ' + size(l.compressed_bytes) + ' compressed'), 8)],
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
    el('p', {}, data(layer.holds || layer.part)),
    list(
      ['Size', [layer.compressed_bytes === null ? '' : size(layer.compressed_bytes) + ' compressed', layer.bytes === null ? '' : size(layer.bytes) + ' uncompressed'].filter(Boolean).join(', ') || 'unknown'],
      ['Digest', layer.digest && code(layer.digest)],
      ['DiffID', code(layer.diff_id)],
      ['Holds', layer.refs.length && refList(layer.refs, 20)],
    ),
  ];
}

// drawApp draws what an application consists of, in the place of the order.
function drawApp(m, match) {
  const app = m.image.app;
  byID('order').hidden = false;
  byID('order-heading').textContent = 'Buildpacks and processes';
  byID('tree').replaceChildren(
    fill(el('ol', {class: 'groups'}), app.buildpacks.filter(b => !match || match.refs.has(b.ref)), b => el('li', {}, el('div', {class: 'entry line'}, el('span', {class: 'swatch', 'data-tint': m.modules.get(b.ref).tint}), refButton(b.ref), b.kind === 'extension' ? el('span', {class: 'tag'}, 'extension') : ''))),
    el('h3', {}, 'Processes'),
    fill(el('dl'), app.processes, p => el('div', {}, el('dt', {}, data(p.type), p.default ? ' (default)' : ''), el('dd', {}, code([...p.command, ...p.args].join(' ')), p.buildpack ? el('div', {class: 'dim'}, data(p.buildpack)) : ''))),
  );
}

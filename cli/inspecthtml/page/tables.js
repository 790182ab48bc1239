// The header and the table of layers.

function drawHeader(report, m) {
  const image = m.image, builder = image.builder, pkg = image.buildpackage, app = image.app;
  byID('title').replaceChildren(
    el('span', {class: 'kind'}, data(image.kind)),
    el('h1', {}, data(report.name)),
    el('span', {class: 'target'}, data(image.target)),
    builder && builder.description ? el('p', {}, data(builder.description)) : '',
    pkg ? el('p', {}, code(pkg.id + '@' + pkg.version), pkg.description || pkg.name ? ' – ' : '', data(pkg.description || pkg.name || '')) : '',
  );
  const facts = [];
  const fact = (name, ...values) => { if (values.some(Boolean)) facts.push(el('div', {}, el('dt', {}, name), el('dd', {}, ...values))); };
  facts.push(headroom(image.limits));
  const sizes = ['compressed_bytes', 'bytes'].map(key => total(image.layers, key));
  fact('Size', [sizes[0] === null ? '' : size(sizes[0]) + ' compressed', sizes[1] === null ? '' : size(sizes[1]) + ' uncompressed'].filter(Boolean).join(', ') || 'unknown');
  fact('Contents', contents(m));
  if (builder) {
    const l = builder.lifecycle;
    fact('Lifecycle', l.version && data(l.version), apis('buildpack API', l.buildpack_api), apis('platform API', l.platform_api));
  }
  fact('Created by', image.created_by && data((image.created_by.name + ' ' + (image.created_by.version || '')).trim()));
  fact('Stack', image.stack && data(image.stack));
  const images = builder ? builder.run_images : app && app.run_image.image ? [app.run_image] : [];
  fact(images.length > 1 ? 'Run images' : 'Run image', ...images.map(r => el('div', {}, code(r.image), r.mirrors.length ? el('div', {class: 'dim'}, 'or ', code(r.mirrors.join(', '))) : '')));
  if (pkg) {
    fact('Stacks', pkg.stacks.length && data(pkg.stacks.join(', ')));
    fact('Targets', pkg.targets.length && data(pkg.targets.join(', ')));
    fact('Licenses', pkg.licenses.length && data(pkg.licenses.map(l => l.type || l.uri || '').join(', ')));
    fact('Homepage', pkg.homepage && link(pkg.homepage));
  }
  if (app) {
    fact('Built on', app.run_image.reference && code(app.run_image.reference));
    fact('Launcher', app.launcher && data(app.launcher));
  }
  fact('Created', image.created && data(image.created));
  fact('Digest', image.digest && code(image.digest));
  fact('Image ID', data(short(image.id), {class: 'code', title: image.id}));
  fact('Index digest', report.digest && report.digest !== image.digest && code(report.digest));
  byID('facts').replaceChildren(...facts);
  byID('problems').replaceChildren(...(image.problems.length ? [el('div', {class: 'problems', role: 'alert'}, el('strong', {}, count(image.problems.length, 'problem')), fill(el('ul'), image.problems, p => el('li', {}, data(p, {}))))] : []));
}

function contents(m) {
  const of = kind => [...m.modules.values()].filter(one => one.kind === kind).length;
  const app = m.image.app;
  return [of('buildpack') && count(of('buildpack'), 'buildpack'), of('extension') && count(of('extension'), 'extension'), app && app.processes.length && count(app.processes.length, 'process').replace(/ss(?=s$)/, 'sse')].filter(Boolean).join(', ');
}

const apis = (name, all) => all.supported.length || all.deprecated.length ? el('div', {class: 'dim'}, name + ' ', data(all.supported.join(', ')), all.deprecated.length ? data(' (deprecated: ' + all.deprecated.join(', ') + ')') : '') : '';

// headroom returns the number of layers, and a bar with how many more there may be.
function headroom(limits) {
  const over = limits.headroom < 0, most = limits.engine - limits.build;
  const bar = el('meter', {min: 0, max: most, value: Math.min(limits.layers, most), high: Math.round(most * 0.85), low: Math.round(most * 0.6), optimum: 0, 'aria-label': 'layers in use'});
  return el('div', {class: over ? 'over' : ''}, el('dt', {}, 'Layers'), el('dd', {},
    el('strong', {}, String(limits.layers)), ' of at most ' + most, bar,
    el('span', {class: 'dim'}, over ? -limits.headroom + ' too many' : limits.headroom + ' more would fit')));
}

// columns of the table: heading, the value by which it is sorted, the first direction.
const columns = [
  ['#', l => l.number, 1], ['Holds', l => l.refs.length, -1], ['Compressed', l => l.compressed_bytes, -1],
  ['Uncompressed', l => l.bytes, -1], ['DiffID', l => l.diff_id, 1],
];

// drawTable draws the layers; with a filter, those that it finds.
function drawTable(m, match, sort) {
  const rows = m.layers.filter(l => !match || match.layers.has(l.number));
  const value = columns[sort.column][1];
  rows.sort((a, b) => { const x = value(a), y = value(b); return x === y ? a.number - b.number : (x === null || (y !== null && x < y) ? -1 : 1) * sort.way; });
  const most = {compressed_bytes: 1, bytes: 1};
  for (const l of m.layers) for (const key of Object.keys(most)) most[key] = Math.max(most[key], l[key] || 0);
  const heads = columns.map(([name, , first], i) => el('th', {scope: 'col', 'aria-sort': i === sort.column ? (sort.way > 0 ? 'ascending' : 'descending') : null},
    el('button', {type: 'button', click: () => resort(i, i === sort.column ? -sort.way : first)}, name)));
  const body = fill(el('tbody'), rows, l => el('tr', {'data-row': l.number},
    el('td', {class: 'number'}, layerButton(l.number, String(l.number))),
    el('td', {}, holds(m, l, match)),
    amount(l.compressed_bytes, most.compressed_bytes), amount(l.bytes, most.bytes),
    el('td', {title: l.diff_id}, code(short(l.diff_id)))));
  byID('table').replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, ...heads)), body));
}

// amount returns a cell with a number of bytes, and a bar that compares it with the most.
function amount(n, most) {
  const cell = el('td', {class: 'amount'}, n === null ? '–' : size(n));
  if (n !== null) cell.style.backgroundSize = (100 * n / most).toFixed(2) + '% 2px';
  return cell;
}

// holds returns what is in a layer: its first buildpacks, and the others when asked for.
function holds(m, l, match) {
  if (!l.refs.length) return data(l.holds || l.part, {class: 'dim'});
  const refs = match ? l.refs.filter(ref => match.refs.has(ref)) : l.refs;
  const chip = ref => el('li', {}, el('span', {class: 'swatch', 'data-tint': m.modules.get(ref).tint}), refButton(ref));
  const list = fill(el('ul', {class: 'chips'}), refs, chip, 12);
  if (m.image.app) list.append(el('li', {class: 'dim'}, data(l.holds || '')));
  if (refs.length < l.refs.length) list.append(el('li', {class: 'dim'}, 'and ' + (l.refs.length - refs.length) + ' others'));
  return list;
}

// A layer page: a grid of all units, sorted and filtered; the state is in the address.

microtome.layerPage = async (name, query) => {
  const network = await microtome.load('network');
  const layer = await microtome.layer(name);
  const { about } = layer;
  const shape = about.shape.join(' × ');
  const grid = microtome.element('div', { class: 'grid' });
  document.getElementById('page').replaceChildren(
    microtome.element('section', { class: 'headline' },
      microtome.element('h1', {}, name),
      microtome.element('p', { class: 'facts' }, ...[about.operation, `${about.units} units`, `output ${shape}`, `read at ${about.read}`,
        `${microtome.number(about.parameters)} parameters`, `${microtome.number(about.macs / 1e6)} M multiply-adds an image`].map((text) => microtome.element('span', {}, text))),
      microtome.neighbours(network, layer.place)),
    microtome.element('section', { 'aria-label': 'Units' }, microtome.gridControls(layer, query), grid),
    microtome.element('section', { id: 'cards', 'aria-label': 'Cards' }, ...layer.cards.map((card) => microtome.card(network, card))));
  microtome.fillGrid(network, layer, grid, query);
};

microtome.neighbours = (network, place) => {
  const [before, after] = [network.info.layers[place - 1], network.info.layers[place + 1]];
  return microtome.element('p', { class: 'steps' },
    before ? microtome.element('a', { href: microtome.layerLink(before.name), rel: 'prev' }, `← ${before.name}`) : null,
    after ? microtome.element('a', { href: microtome.layerLink(after.name), rel: 'next' }, `${after.name} →`) : null);
};

// Which units are shown, in which order: as the address says.
microtome.chosenUnits = (layer, query) => {
  const values = (name) => layer.columns.find((column) => column.name === name)?.values[layer.place];
  let units = Array.from({ length: layer.about.units }, (_, unit) => unit);
  const flag = values(query.get('filter'));
  if (flag) units = units.filter((unit) => flag[unit]);
  const words = (query.get('q') ?? '').trim().toLowerCase();
  if (words) {
    const texts = layer.columns.filter((column) => column.kind === 'text').map((column) => column.values[layer.place]);
    units = units.filter((unit) => String(unit) === words || texts.some((one) => one[unit].toLowerCase().includes(words)));
  }
  const key = values(query.get('sort'));
  if (key) {
    const sign = query.get('order') === 'up' ? 1 : -1;
    const rank = (unit) => (key[unit] === null ? -Infinity : key[unit]);
    units.sort((a, b) => sign * (typeof key[0] === 'string' ? String(key[b]).localeCompare(key[a]) : rank(a) - rank(b)) || a - b);
  }
  return units;
};

microtome.gridControls = (layer, query) => {
  const go = (name, value) => {
    const next = new URLSearchParams(query);
    if (value) next.set(name, value); else next.delete(name);
    history.replaceState(null, '', microtome.layerLink(layer.about.name, next.toString()));
    query = next;
    const grid = document.querySelector('.grid');
    microtome.load('network').then((network) => microtome.fillGrid(network, layer, grid, next));
  };
  const option = (value, text, chosen) => microtome.element('option', { value, selected: value === (chosen ?? '') }, text);
  const flags = layer.columns.filter((column) => column.kind === 'flag');
  const sorts = layer.columns.filter((column) => column.kind !== 'flag');
  return microtome.element('form', { class: 'controls', onsubmit: (event) => event.preventDefault() },
    microtome.element('label', {}, 'sort by ', microtome.element('select', { name: 'sort', onchange: (event) => go('sort', event.target.value) },
      option('', 'number', query.get('sort')), ...sorts.map((column) => option(column.name, column.name, query.get('sort'))))),
    microtome.element('label', {}, 'order ', microtome.element('select', { name: 'order', onchange: (event) => go('order', event.target.value) },
      option('', 'largest first', query.get('order')), option('up', 'smallest first', query.get('order')))),
    flags.length ? microtome.element('label', {}, 'only ', microtome.element('select', { name: 'filter', onchange: (event) => go('filter', event.target.value) },
      option('', 'all units', query.get('filter')), ...flags.map((column) => option(column.name, column.name, query.get('filter'))))) : null,
    microtome.element('label', {}, 'find ', microtome.element('input', { type: 'search', name: 'q', value: query.get('q') ?? '', size: 14,
      placeholder: 'label, class or number', oninput: (event) => go('q', event.target.value) })),
    microtome.element('output', { id: 'count' }));
};

microtome.fillGrid = (network, layer, grid, query) => {
  const units = microtome.chosenUnits(layer, query);
  const column = layer.columns.find((one) => one.name === query.get('sort'));
  const active = layer.columns.find((one) => one.kind === 'share');
  const dead = layer.columns.find((one) => one.name === 'dead');
  const how = column?.how ?? (active ? `The bar: ${active.how}` : '');
  document.getElementById('count').textContent = `${units.length} of ${layer.about.units} units. ${how}`;
  grid.replaceChildren(...units.map((unit) => {
    const value = column ? column.values[layer.place][unit] : null;
    const share = active ? active.values[layer.place][unit] : 0;
    const texts = layer.columns.filter((one) => one.kind === 'text').map((one) => one.values[layer.place][unit]);
    return microtome.element('a', {
      href: microtome.unitLink(layer.about.name, unit), class: dead?.values[layer.place][unit] ? 'cell dead' : 'cell',
      'aria-label': `unit ${unit} ${texts.join(' ')}`, title: texts.join(' '),
    }, microtome.element('span', { class: 'picture' }, microtome.telling(network, layer, unit, 72)),
    microtome.element('span', { class: 'caption' }, microtome.element('b', {}, String(unit)), column ? ` ${microtome.number(value, column.kind)}` : ''),
    microtome.element('span', { class: 'meter', 'aria-hidden': 'true' }, microtome.element('span', { style: `width:${100 * share}%` })));
  }));
};

// Arrow keys move over the grid, in its visible rows.
microtome.moveInGrid = (event) => {
  const cell = document.activeElement?.closest?.('.cell');
  if (!cell) return false;
  const cells = [...cell.parentElement.children];
  const wide = cells.findIndex((one) => one.offsetTop > cells[0].offsetTop);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -(wide < 0 ? cells.length : wide), ArrowDown: wide < 0 ? cells.length : wide }[event.key];
  const next = step && cells[cells.indexOf(cell) + step];
  if (!next) return false;
  next.focus();
  event.preventDefault();
  return true;
};

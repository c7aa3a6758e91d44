// A layer page: a grid of all units, sorted and filtered; the state is in the address.

microtome.layerPage = async (name, query) => {
  const network = await microtome.load('network');
  const layer = await microtome.layer(name);
  const { about } = layer;
  const shape = about.shape.join(' × ');
  const at = (part) => {
    const next = new URLSearchParams(query);
    next.set('at', part);
    return microtome.layerLink(name, next.toString());
  };
  microtome.turnTo(
    microtome.element('section', { class: 'headline' },
      microtome.element('h1', {}, name),
      microtome.element('p', { class: 'facts' }, ...[about.operation, `${about.units} units`, `output ${shape}`, `read at ${about.read}`,
        `${microtome.number(about.parameters)} parameters`, `${microtome.number(about.macs / 1e6)} M multiply-adds an image`].map((text) => microtome.element('span', {}, text))),
      microtome.neighbours(network, layer.place)),
    microtome.contents([[at('units'), 'Units'], ...layer.cards.map((card) => [at(microtome.slug(card.title)), card.title])]),
    microtome.element('section', { id: 'part-units', 'aria-labelledby': 'units-title' }, microtome.element('h2', { id: 'units-title' }, 'units'), microtome.gridControls(network, layer, query), microtome.element('div', { class: 'grid' })),
    layer.cards.length ? microtome.element('section', { 'aria-labelledby': 'layer-title' }, microtome.element('h2', { id: 'layer-title' }, 'the whole layer'),
      microtome.element('div', { class: 'cards' }, ...layer.cards.map((card) => microtome.card(network, card)))) : '');
  microtome.cellsOf = new Map();
  microtome.fillGrid(network, layer, query);
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

microtome.gridControls = (network, layer, query) => {
  const go = (name, value) => {
    const next = new URLSearchParams(query);
    if (value) next.set(name, value); else next.delete(name);
    next.delete('at');
    history.replaceState(null, '', microtome.layerLink(layer.about.name, next.toString()));
    query = next;
    microtome.fillGrid(network, layer, next);
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
    microtome.element('output', { id: 'count', 'aria-live': 'polite' }));
};

// Cells are made once a page; another order or filter moves them and writes the number that it goes by. While one types
// only what is on the screen is laid out; a second later the rest is too, for photographs of the whole page.
microtome.fillGrid = (network, layer, query) => {
  const units = microtome.chosenUnits(layer, query);
  const column = layer.columns.find((one) => one.name === query.get('sort'));
  const active = layer.columns.find((one) => one.kind === 'share');
  const how = column?.how ?? (active ? `The bar: ${active.how}` : '');
  document.getElementById('count').textContent = `${units.length} of ${layer.about.units} units. ${how}`;
  const cells = units.map((unit) => {
    if (!microtome.cellsOf.has(unit)) microtome.cellsOf.set(unit, microtome.cell(network, layer, unit, active));
    const cell = microtome.cellsOf.get(unit);
    cell.tabIndex = -1;
    cell.querySelector('.value').textContent = column ? ` ${microtome.number(column.values[layer.place][unit], column.kind)}` : '';
    return cell;
  });
  if (cells.length) cells[0].tabIndex = 0;
  const grid = document.querySelector('.grid');
  grid.classList.remove('settled');
  grid.replaceChildren(...cells);
  microtome.soon();
  clearTimeout(microtome.settling);
  microtome.settling = setTimeout(() => requestIdleCallback(() => grid.classList.add('settled')), 1000);
};

microtome.cell = (network, layer, unit, active) => {
  const dead = layer.columns.find((one) => one.name === 'dead')?.values[layer.place][unit];
  const texts = layer.columns.filter((one) => one.kind === 'text').map((one) => one.values[layer.place][unit]).filter(Boolean);
  const share = active ? active.values[layer.place][unit] ?? 0 : 0;
  return microtome.element('a', {
    href: microtome.unitLink(layer.about.name, unit), class: dead ? 'cell dead' : 'cell', 'aria-label': `unit ${unit} ${texts.join(' ')}`,
    title: texts.join(' '), style: `--share:${100 * share}%`,
  }, microtome.telling(network, layer, unit, 72), microtome.element('span', { class: 'caption' }, microtome.element('b', {}, String(unit)), microtome.element('span', { class: 'value' })));
};

// One cell is a stop of the tab key; arrow keys move over the grid, in its visible rows, Home and End to its ends.
microtome.moveInGrid = (event) => {
  const cell = document.activeElement?.closest?.('.cell');
  if (!cell) return false;
  const cells = [...cell.parentElement.children];
  const at = cells.indexOf(cell);
  const top = cells.findIndex((one) => one.offsetTop > cells[0].offsetTop);
  const wide = top < 0 ? cells.length : top;
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - wide, ArrowDown: at + wide, Home: 0, End: cells.length - 1 }[event.key];
  const next = cells[to];
  if (!next) return to !== undefined; // at an end of the grid an arrow key does not lead to another layer
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  event.preventDefault();
  return true;
};

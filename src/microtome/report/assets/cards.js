// Cards: a title, how to read it, a content of one of a few kinds, what could have refuted it.

microtome.SIDES = { crops: 76, pictures: 96, large: 128 };
microtome.NARROW = { letters: 76, columns: 16 }; // of a table, of a matrix: what may stand beside another card

microtome.isWide = (card) => {
  if (card.kind === 'heat') return card.columns.length > microtome.NARROW.columns;
  if (card.kind !== 'table' || !card.rows.length) return false;
  const longest = (texts) => Math.max(...texts.map((text) => String(text).length));
  return card.header.reduce((sum, name, column) => sum + 2 + longest([...name.split(' '), ...card.rows.map((row) => row[column] ?? '')]), 0) > microtome.NARROW.letters;
};

// A card of the network or a layer (unit is null), or one unit's share of a columnar card; `below` are cards whose
// pictures stand below its own, rank by rank.
microtome.card = (network, card, unit = null, below = []) => {
  const content = microtome.KINDS[card.kind](network, card, unit, below);
  const wide = microtome.isWide(card) ? 'wide ' : '';
  return microtome.element('article', { class: `card ${wide}${card.kind}`, id: unit === null ? `card-${microtome.slug(card.title)}` : null },
    microtome.element('h3', {}, card.title),
    microtome.element('p', { class: 'how' }, card.how),
    microtome.element('div', { class: 'content' }, content),
    card.control ? microtome.element('p', { class: 'control' }, card.control) : null,
    ...below.flatMap((other) => [microtome.element('h3', {}, other.title), microtome.element('p', { class: 'how' }, other.how),
      other.control ? microtome.element('p', { class: 'control' }, other.control) : null]));
};

microtome.pick = (values, unit) => (unit === null ? values : values[unit]);

microtome.KINDS = {
  text: (network, card, unit) => microtome.element('div', {}, ...(unit === null ? card.lines : [card.lines[unit]])
    .map((line) => microtome.element('p', {}, line))),

  table: (network, card) => microtome.table(card),

  crops: (network, card, unit, below) => {
    const [index, boxes, captions] = [card.index, card.boxes, card.captions].map((values) => microtome.pick(values, unit) ?? []);
    const side = unit === null ? 112 : microtome.SIDES.crops;
    if (index.every((image) => image < 0)) return microtome.element('p', {}, 'No image to show.');
    return microtome.element('div', { class: 'pictures' }, ...index.map((image, place) => microtome.element('figure', {},
      microtome.crop(network, image, boxes[place], captions[place], side),
      ...below.filter((other) => place < other.each && image >= 0)
        .map((other) => microtome.tile(other, unit * other.each + place, side, `${other.title}, ${captions[place] ?? place}`)),
      microtome.element('figcaption', {}, ...microtome.breakable(captions[place] ?? '')))));
  },

  pictures: (network, card, unit) => {
    const whole = unit === null && card.each === 1;
    const natural = Math.max(card.width, card.height);
    const side = whole ? Math.min(Math.max(natural * Math.max(1, Math.floor(760 / natural)), 240), 1200) : unit === null ? microtome.SIDES.large : microtome.SIDES.pictures;
    const captions = (Array.isArray(card.captions[0]) ? microtome.pick(card.captions, unit) : card.captions) ?? [];
    const places = Array.from({ length: card.each }, (_, place) => place).filter((place) => captions[place] !== null);
    if (!places.length) return microtome.element('p', {}, 'No picture: this unit is not among those worked on.');
    return microtome.element('div', { class: 'pictures' }, ...places.map((place) => microtome.element('figure', {},
      microtome.tile(card, (unit ?? 0) * card.each + place, side, captions[place] ?? card.title),
      captions[place] ? microtome.element('figcaption', {}, ...microtome.breakable(captions[place])) : null)));
  },

  bars: (network, card, unit) => microtome.bars(card, Array.isArray(card.x[0]) ? microtome.pick(card.x, unit) : card.x,
    card.series.map((one) => ({ name: one.name, y: microtome.pick(one.y, unit) }))),

  lines: (network, card, unit) => microtome.lines(card, Array.isArray(card.x[0]) ? microtome.pick(card.x, unit) : card.x,
    card.series.map((one) => ({ name: one.name, y: microtome.pick(one.y, unit) }))),

  heat: (network, card) => microtome.heat(card),

  sheets: (network, card, unit) => (unit === null ? microtome.layerSheets(network, card) : microtome.unitSheets(network, card, unit)),

  rows: (network, card, unit) => microtome.rowsOf(network, card, unit),

  circuit: (network, card) => microtome.circuit(network, card),

  units: (network, card, unit) => {
    const [others, values] = [microtome.pick(card.unit, unit), microtome.pick(card.value, unit)];
    const holder = microtome.element('div', { class: 'pictures' });
    others.forEach((other, place) => {
      if (other < 0) return;
      const figure = microtome.element('figure', {}, microtome.element('figcaption', {}, `${other} · ${card.label} ${microtome.number(values[place])}`));
      holder.append(microtome.element('a', { href: microtome.unitLink(card.layer, other), class: 'unit' }, figure));
      microtome.whenSeen(figure, () => microtome.layer(card.layer).then((layer) => figure.prepend(microtome.telling(network, layer, other, microtome.SIDES.crops))));
    });
    return holder.childNodes.length ? holder : microtome.element('p', {}, 'none');
  },
};

// What may be wider than its card; only then it is a stop of the tab key, for the arrow keys to scroll it.
microtome.scroller = (label, content) => {
  const holder = microtome.element('div', { class: 'scroll', role: 'group', 'aria-label': label }, content);
  microtome.sized.observe(holder);
  return holder;
};

microtome.sized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.setAttribute('tabindex', 0); else target.removeAttribute('tabindex');
  }
});

microtome.table = (card) => {
  if (!card.rows.length) return microtome.element('p', {}, 'None.');
  const numeric = card.header.map((_, column) => card.rows.every((row) => typeof row[column] === 'number' || /^[\d.,%–\s[\]+-]*( to [\d.,%]*)?$/.test(row[column])));
  const wordy = card.header.map((_, column) => card.rows.some((row) => String(row[column]).length > 16));
  const cell = (value, column, link) => microtome.element('td', { class: numeric[column] ? 'figure' : wordy[column] ? 'words' : null },
    link && column === 0 ? microtome.element('a', { href: link }, microtome.number(value)) : microtome.number(value));
  const rows = card.rows.map((row, place) => microtome.element('tr', {}, ...row.map((value, column) => cell(value, column, card.links[place]))));
  const shown = 8;
  const table = microtome.element('table', {}, microtome.element('thead', {}, microtome.element('tr', {}, ...card.header.map((name, column) =>
    microtome.element('th', { scope: 'col', class: numeric[column] ? 'figure' : null }, name)))), microtome.element('tbody', {}, ...rows));
  const holder = microtome.scroller(card.title, table);
  if (rows.length <= shown + 2) return holder;
  rows.slice(shown).forEach((row) => { row.hidden = true; });
  const more = microtome.element('button', { type: 'button', onclick: () => { rows.forEach((row) => { row.hidden = false; }); more.remove(); } },
    `show all ${rows.length} rows`);
  return microtome.element('div', {}, holder, more);
};

// The most telling picture of a unit: of its picture cards the one with the largest `telling`.
microtome.telling = (network, layer, unit, side) => {
  const [best] = layer.unitCards.filter((card) => card.telling > 0 && !(card.kind === 'crops' && card.index[unit][0] < 0))
    .sort((a, b) => b.telling - a.telling);
  const label = `unit ${unit} of ${layer.about.name}`;
  if (!best) return microtome.element('span', { class: 'none' }, '–');
  if (best.kind === 'pictures') return microtome.tile(best, unit * best.each, side, label);
  const where = network.images.where[best.index[unit][0]];
  if (!where) return microtome.element('span', { class: 'none' }, '–');
  const [top, left, bottom, right] = best.boxes[unit][0];
  const part = [where[1] + left, where[2] + top, right - left, bottom - top];
  return microtome.part(`images/${network.images.sheets[where[0]]}`, part, side, { crisp: network.images.crisp, label });
};

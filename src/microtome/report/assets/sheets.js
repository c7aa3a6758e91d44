// Contact sheets: on a layer page whole, with the number of each line's first unit; on a unit page the unit's own pictures.

microtome.SHEET = { wide: 440, tile: 96, line: 11 }; // CSS pixels: a sheet, a unit's picture, the least for a number

microtome.sheetLost = (share) => (share === null || share === undefined ? '' : ` · ${microtome.number(share, 'share')} thrown away`);

// The views of a card, in a row for every picture: the image it was made of in front.
microtome.sheetRows = (network, card, draw) => {
  const rows = new Map();
  for (const view of card.views) {
    if (!rows.has(view.image)) rows.set(view.image, []);
    rows.get(view.image).push(draw(view));
  }
  return microtome.element('div', {}, ...[...rows].map(([image, figures]) => microtome.element('div', { class: 'pictures' },
    image < 0 ? null : microtome.element('figure', {},
      microtome.crop(network, image, [0, 0, network.images.height, network.images.width], '', microtome.SHEET.tile),
      microtome.element('figcaption', {}, ...microtome.breakable(network.images.ids[image]))), ...figures)));
};

microtome.unitSheets = (network, card, unit) => microtome.sheetRows(network, card, (view) => {
  const [left, top] = [(unit % view.columns) * (view.width + 1), view.top + Math.floor(unit / view.columns) * (view.height + 1)];
  const label = view.caption.split(' · ')[view.image < 0 ? 0 : 1];
  return microtome.element('figure', {},
    microtome.part(`data/${card.sprite}`, [left, top, view.width, view.height], microtome.SHEET.tile, { crisp: true, label: `unit ${unit}, ${view.caption}` }),
    microtome.element('figcaption', {}, label + microtome.sheetLost(view.lost?.[unit])));
});

microtome.layerSheets = (network, card) => microtome.sheetRows(network, card, (view) => {
  const lines = Math.ceil(card.units / view.columns);
  const [wide, high] = [view.columns * (view.width + 1) - 1, lines * (view.height + 1) - 1];
  const scale = Math.max(1, Math.floor(microtome.SHEET.wide / wide)); // whole steps, so that every pixel is as large
  const known = (view.lost ?? []).filter((share) => share !== null).sort((a, b) => a - b);
  const text = view.caption + (known.length ? `${microtome.sheetLost(known[Math.floor((known.length - 1) / 2)])} (median unit)` : '');
  const canvas = microtome.part(`data/${card.sprite}`, [0, view.top, wide, high], scale * Math.max(wide, high), { crisp: true, label: text });
  canvas.style.height = 'auto';
  const every = Math.ceil(microtome.SHEET.line / (scale * (view.height + 1)));
  const numbers = Array.from({ length: lines }, (_, line) => microtome.element('span', {}, line % every ? '' : String(line * view.columns)));
  microtome.pointAtUnits(canvas, card, view, lines);
  return microtome.element('figure', {},
    microtome.element('div', { class: 'sheet' }, microtome.element('div', { class: 'line-numbers', 'aria-hidden': 'true' }, ...numbers), canvas),
    microtome.element('figcaption', { class: 'wide' }, text));
});

// Pointing at a picture of a sheet names its unit, a click leads to it; by keyboard the grid above does.
microtome.pointAtUnits = (canvas, card, view, lines) => {
  const at = (event) => {
    const column = Math.floor((event.offsetX / canvas.clientWidth) * view.columns);
    const unit = Math.floor((event.offsetY / canvas.clientHeight) * lines) * view.columns + column;
    return column < view.columns && unit >= 0 && unit < card.units ? unit : null;
  };
  canvas.addEventListener('pointermove', (event) => {
    const unit = at(event);
    canvas.title = unit === null ? '' : `unit ${unit}${microtome.sheetLost(view.lost?.[unit])}`;
  });
  canvas.addEventListener('click', (event) => {
    const unit = at(event);
    if (unit !== null) location.hash = microtome.unitLink(card.layer, unit);
  });
};

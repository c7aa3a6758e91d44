// Contact sheets: on a layer page whole, with the number of each line's first unit; on a unit page the unit's own pictures.

microtome.SHEET = { wide: 330, tile: 96, line: 11 }; // CSS pixels: a sheet, a unit's picture, the least for a number

microtome.sheetLost = (share) => (share === null || share === undefined ? '' : ` · ${microtome.number(share, 'share')} thrown away`);

microtome.unitSheets = (card, unit) => microtome.element('div', { class: 'pictures' }, ...card.views.map((view) => {
  const [left, top] = [(unit % view.columns) * (view.width + 1), view.top + Math.floor(unit / view.columns) * (view.height + 1)];
  const box = [left, top, view.width, view.height];
  return microtome.element('figure', {},
    microtome.part(`data/${card.sprite}`, box, microtome.SHEET.tile, { crisp: true, label: `unit ${unit}, ${view.caption}` }),
    microtome.element('figcaption', {}, view.caption + microtome.sheetLost(view.lost?.[unit])));
}));

microtome.layerSheets = (card) => microtome.element('div', { class: 'pictures sheets' }, ...card.views.map((view) => {
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
    microtome.element('div', { class: 'sheet' }, microtome.element('div', { class: 'lines', 'aria-hidden': 'true' }, ...numbers), canvas),
    microtome.element('figcaption', {}, text));
}));

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

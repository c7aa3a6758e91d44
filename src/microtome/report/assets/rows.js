// Rows that lead on to other units: a thumbnail of the unit, words, small pictures, numbers.

microtome.rowsOf = (network, card, unit) => {
  const texts = card.words[unit].map((text) => card.texts[text]);
  const rows = texts.map((text, place) => (text ? microtome.rowOf(network, card, unit, place, text) : null)).filter(Boolean);
  if (!rows.length) return microtome.element('p', {}, 'None.');
  const heads = ['', '', ...card.pictures, ...card.headings];
  const table = microtome.element('table', { class: 'rows' }, microtome.element('thead', {}, microtome.element('tr', {},
    ...heads.map((name, place) => microtome.element('th', { scope: 'col', class: place >= 2 + card.pictures.length ? 'figure' : null }, name)))),
  microtome.element('tbody', {}, ...rows));
  const image = card.index.length ? card.index[unit] : -1;
  const size = network.images && [0, 0, network.images.height, network.images.width];
  return microtome.element('div', {},
    image >= 0 && network.images?.where[image] ? microtome.element('figure', { class: 'of' }, microtome.crop(network, image, size, '', microtome.SIDES.crops),
      microtome.element('figcaption', {}, ...microtome.breakable(`on ${network.images.ids[image]}`))) : null,
    microtome.scroller(card.title, table));
};

microtome.rowOf = (network, card, unit, place, text) => {
  const other = card.unit[unit][place];
  const layer = card.layers[card.layer[unit][place]];
  const href = other >= 0 ? microtome.unitLink(layer, other) : null;
  const thumb = microtome.element('td', { class: 'thumb' });
  if (href) {
    const link = microtome.element('a', { href, tabindex: -1, 'aria-hidden': 'true' });
    thumb.append(link);
    microtome.whenSeen(link, () => microtome.layer(layer).then((one) => link.append(microtome.telling(network, one, other, 48))));
  }
  const tiles = card.pictures.map((name, column) => microtome.element('td', {}, microtome.tile(card,
    (unit * card.words[unit].length + place) * card.pictures.length + column, 48, `${name} of ${text}`)));
  const numbers = card.headings.map((_, column) => microtome.element('td', { class: 'figure' }, microtome.number(card.values[unit][place][column])));
  const row = microtome.element('tr', { class: href ? 'leads' : null }, thumb,
    microtome.element('td', {}, href ? microtome.element('a', { href }, text) : text), ...tiles, ...numbers);
  if (href) row.addEventListener('click', (event) => { if (!event.target.closest('a')) location.hash = href.slice(1); });
  return row;
};

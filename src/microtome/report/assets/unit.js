// A unit page: everything about one channel, in sections.

microtome.SECTIONS = {
  sees: 'images that make it fire, and what of them reaches it',
  dreams: 'pictures grown to excite it',
  'made of': 'its weights, and what they look for',
  feeds: 'what drives it, and what it does to the answers',
  numbers: 'what was measured of it',
};

microtome.unitPage = async (name, unit) => {
  const network = await microtome.load('network');
  const layer = await microtome.layer(name);
  if (!(unit >= 0 && unit < layer.about.units)) throw new Error(`Layer ${name} has units 0 to ${layer.about.units - 1}, not ${unit}.`);
  const headline = layer.unitCards.filter((card) => card.section === 'headline');
  const step = (other, text, rel) => (other >= 0 && other < layer.about.units
    ? microtome.element('a', { href: microtome.unitLink(name, other), rel }, text) : null);
  const ofUnits = [...layer.unitCards, ...layer.cards.filter((card) => card.kind === 'sheets')];
  const host = (card) => card.below && ofUnits.find((other) => other.kind === 'crops' && other.title === card.below && other.section === card.section);
  const below = (card) => ofUnits.filter((other) => host(other) === card);
  const sections = Object.keys(microtome.SECTIONS).map((section) => [section, ofUnits.filter((card) => card.section === section && !host(card))])
    .filter(([, cards]) => cards.length);
  const placeOf = (section) => `part-${microtome.slug(section)}`;
  microtome.turnTo(
    microtome.element('section', { class: 'headline' },
      microtome.element('h1', {}, `${name}:${unit}`),
      microtome.element('p', { class: 'facts' }, headline.map((card) => card.lines[unit]).filter(Boolean).join(' · ')),
      microtome.element('p', { class: 'steps' }, step(unit - 1, `← ${unit - 1}`, 'prev'),
        microtome.element('a', { href: microtome.layerLink(name) }, 'all units of this layer'), step(unit + 1, `${unit + 1} →`, 'next'))),
    microtome.contents(sections.map(([section]) => [`${microtome.unitLink(name, unit)}?at=${microtome.slug(section)}`, section])),
    ...sections.map(([section, cards]) => microtome.element('section', { class: 'unit-section', id: placeOf(section), 'aria-label': section },
      microtome.element('h2', {}, section, microtome.element('span', { class: 'how' }, microtome.SECTIONS[section])),
      microtome.element('div', { class: 'cards' }, ...cards.map((card) => microtome.card(network, card, unit, below(card))),
        section === 'numbers' ? microtome.unitNumbers(layer, unit) : null))));
};

microtome.unitNumbers = (layer, unit) => {
  const rows = layer.columns.map((column) => microtome.element('tr', {}, microtome.element('th', { scope: 'row' }, column.name),
    microtome.element('td', { class: column.kind === 'text' ? null : 'figure' }, microtome.number(column.values[layer.place][unit], column.kind)),
    microtome.element('td', { class: 'how' }, column.how)));
  return microtome.element('article', { class: 'card' }, microtome.element('h3', {}, 'All its numbers'),
    microtome.element('p', { class: 'how' }, 'One row a measured quantity.'),
    microtome.scroller('All its numbers', microtome.element('table', {}, microtome.element('tbody', {}, ...rows))));
};

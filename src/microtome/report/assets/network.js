// The first page: what is in index.html already, the network map, and the network's cards.

microtome.OPEN = 2; // topics whose first question stands open
microtome.MAP = { height: 180, cells: [14, 10, 7, 5] }; // the largest cell at which the whole network fits the page

microtome.firstPage = async (query, wanted) => {
  const network = await microtome.load('network');
  const page = document.getElementById('page');
  if (!page.querySelector('.topic')) {
    microtome.turnTo(...microtome.first.map((node) => node.cloneNode(true)));
    page.querySelector('#topics').replaceChildren(...network.topics.map((topic, place) => microtome.topic(network, topic, place < microtome.OPEN)));
    microtome.map(network, page.querySelector('#part-map'), query.get('colour'));
    const parts = [...page.querySelectorAll('[id^=part-]:not([hidden])')];
    page.querySelector('.headline').after(microtome.contents(parts.map((part) => [`#/part/${part.id.slice(5)}`, part.querySelector('h2').textContent.split(',')[0]]), true));
  }
  if (wanted) microtome.goTo(document.getElementById(wanted));
};

// A topic: its questions with their weightiest answers, each a fold with its cards; if `open`, the first stands open.
microtome.topic = (network, topic, open) => microtome.element('section', { class: 'topic', id: `part-${topic.key}`, 'aria-labelledby': `topic-${topic.key}` },
  microtome.element('h2', { id: `topic-${topic.key}` }, topic.title),
  ...topic.questions.map((one, place) => {
    const words = one.skipped ?? (one.cards.length ? null : 'What was found stands on the pages of layers and units.');
    return microtome.fold([microtome.element('span', { class: 'question' }, one.question), ' ', microtome.element('span', { class: 'answer' }, one.answer)],
      [words ? microtome.element('p', {}, words) : microtome.element('div', { class: 'cards' }, ...one.cards.map((card) => microtome.card(network, card)))],
      open && place === 0 && one.cards.length > 0);
  }));

// One column a layer, its units as stacked cells, coloured by one of the analyses' columns.
microtome.map = (network, holder, chosen) => {
  const choices = network.columns.filter((column) => column.kind !== 'text');
  if (!choices.length) return;
  const column = choices.find((one) => one.name === chosen) ?? choices[0];
  const [low, high] = column.kind === 'flag' ? [0, 1] : microtome.range(column.values.flat());
  const select = microtome.element('select', {
    onchange: (event) => { microtome.map(network, holder, event.target.value); },
  }, ...choices.map((one) => microtome.element('option', { value: one.name, selected: one === column }, one.name)));
  const legend = microtome.ramp(low, high, column.kind);
  const cell = microtome.MAP.cells.find((size) => network.info.layers
    .reduce((sum, layer) => sum + 12 + size * Math.ceil(layer.units / Math.floor(microtome.MAP.height / size)), 0) < 1150) ?? 4;
  const strip = microtome.element('ul', { class: 'strip' });
  network.info.layers.forEach((layer, place) => {
    if (!column.values[place]) return;
    const label = `${layer.name}, ${layer.units} units`;
    strip.append(microtome.element('li', {}, microtome.element('a', { href: microtome.layerLink(layer.name, `sort=${column.name}`), title: label, 'aria-label': label },
      microtome.cells(column.values[place], low, high, cell), microtome.element('span', { 'aria-hidden': 'true' }, layer.name))));
  });
  holder.hidden = false;
  holder.replaceChildren(microtome.element('h2', { id: 'map-title' }, 'The network, first layer to last'),
    microtome.element('p', { class: 'how' }, 'One column a layer, one cell a unit; choose what colours it. ', column.how, ' Click a column for its page.'),
    microtome.element('p', { class: 'controls' }, microtome.element('label', {}, 'colour ', select), legend), strip);
};

microtome.cells = (values, low, high, cell) => {
  const rows = Math.floor(microtome.MAP.height / cell);
  const columns = Math.ceil(values.length / rows);
  const canvas = microtome.element('canvas', { width: columns * cell, height: Math.min(values.length, rows) * cell, 'aria-hidden': 'true' });
  const pen = canvas.getContext('2d');
  values.forEach((value, unit) => {
    pen.fillStyle = value === null ? 'transparent' : microtome.colour((Number(value) - low) / (high - low));
    pen.fillRect(Math.floor(unit / rows) * cell, (unit % rows) * cell, cell - 1, cell - 1);
  });
  return canvas;
};

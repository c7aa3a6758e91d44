// A circuit: units as thumbnails in one column a layer, connections as lines as wide as what they do.

microtome.CIRCUIT = { side: 44, gap: 10, column: 132 };

microtome.circuit = (network, card) => {
  const { side, gap, column } = microtome.CIRCUIT;
  const known = card.source.map((from, place) => [from, card.target[place], card.value[place]]).filter(([from, to]) => from[1] >= 0 && to[1] >= 0);
  if (!known.length) return microtome.element('p', {}, 'None.');
  const columns = new Map();
  known.forEach(([from, to]) => [from, to].forEach(([layer, unit]) => {
    if (!columns.has(layer)) columns.set(layer, new Set());
    columns.get(layer).add(unit);
  }));
  const order = [...columns.keys()].sort((a, b) => a - b);
  const tallest = Math.max(...[...columns.values()].map((units) => units.size));
  const [width, height] = [order.length * column, 26 + tallest * (side + gap)];
  const at = (layer, unit) => {
    const units = [...columns.get(layer)].sort((a, b) => a - b);
    const top = 26 + ((tallest - units.length) / 2 + units.indexOf(unit)) * (side + gap);
    return [order.indexOf(layer) * column, top];
  };
  const largest = Math.max(...known.map(([, , value]) => Math.abs(value)));
  const lines = known.map(([from, to, value]) => {
    const [[left, top], [right, bottom]] = [at(...from), at(...to)];
    const [x1, y1, x2, y2] = [left + side, top + side / 2, right, bottom + side / 2];
    const path = `M ${x1} ${y1} C ${(x1 + x2) / 2} ${y1}, ${(x1 + x2) / 2} ${y2}, ${x2} ${y2}`;
    return microtome.svg('path', { d: path, class: 'wire', 'stroke-width': 1 + 5 * Math.abs(value) / largest },
      microtome.svg('title', {}, `${card.layers[from[0]]}:${from[1]} to ${card.layers[to[0]]}:${to[1]}, ${card.label} ${microtome.number(value)}`));
  });
  const nodes = order.flatMap((layer) => [...columns.get(layer)].map((unit) => {
    const [left, top] = at(layer, unit);
    const name = `${card.layers[layer]}:${unit}`;
    const link = microtome.element('a', { href: microtome.unitLink(card.layers[layer], unit), class: 'node', title: name, 'aria-label': name,
      style: `left:${left}px;top:${top}px;width:${side}px;height:${side}px` }, microtome.element('span', { class: 'number' }, String(unit)));
    microtome.whenSeen(link, () => microtome.layer(card.layers[layer]).then((one) => link.prepend(microtome.telling(network, one, unit, side))));
    return link;
  }));
  const heads = order.map((layer) => microtome.element('a', { href: microtome.layerLink(card.layers[layer]), class: 'head',
    style: `left:${order.indexOf(layer) * column}px;width:${column - 8}px` }, card.layers[layer]));
  return microtome.scroller(card.title,
    microtome.element('div', { class: 'circuit', style: `width:${width}px;height:${height}px` },
      microtome.svg('svg', { width, height, 'aria-hidden': 'true' }, ...lines), ...heads, ...nodes));
};

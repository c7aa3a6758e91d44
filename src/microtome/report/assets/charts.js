// Charts as inline SVG, in the colours of the page.

microtome.svg = (tag, attributes = {}, ...children) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};

microtome.CHART = { width: 420, height: 200, left: 48, right: 10, top: 10, bottom: 38, most: 100 };

microtome.ticks = (low, high) => {
  const raw = (high - low) / 5;
  if (!(raw > 0)) return [low];
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((size) => size >= raw * 0.999);
  const first = Math.ceil(low / step - 1e-9) * step;
  const found = [];
  for (let value = first; value <= high + step * 1e-9; value += step) found.push(Number(value.toPrecision(12)));
  return found;
};

// Ticks of a logarithmic axis: powers of ten, with 2 and 5 between where there is room.
microtome.powers = (low, high) => {
  const decades = Math.log10(high / low);
  const step = Math.max(1, Math.ceil(decades / 6));
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 1.0001; power += step) {
    for (const factor of decades < 2.5 ? [1, 2, 5] : [1]) found.push(Number((factor * 10 ** power).toPrecision(6)));
  }
  return found.filter((value) => value >= low * 0.9999 && value <= high * 1.0001);
};

// How far along an axis a number lies, 0 to 1.
microtome.along = (value, low, high, log) =>
  log ? Math.log(value / low) / (Math.log(high / low) || 1) : (value - low) / (high - low || 1);

// What is added to x before its logarithm: 1 where x begins at 0.
microtome.more = (log) => (log.startsWith('1+') ? 1 : 0);

// Axes with labels; gives the drawing and functions from numbers to its coordinates.
microtome.axes = (label, [xLow, xHigh], [yLow, yHigh], xLabel, yLabel, log = '') => {
  const { width, height, left, right, top, bottom } = microtome.CHART;
  const [xLog, yLog, more] = [log.includes('x'), log.includes('y'), microtome.more(log)];
  const across = (x) => left + microtome.along(x + more, xLow + more, xHigh + more, xLog) * (width - left - right);
  const up = (y) => height - bottom - microtome.along(y, yLow, yHigh, yLog) * (height - top - bottom);
  const drawing = microtome.svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label, class: 'chart' });
  for (const value of (yLog ? microtome.powers : microtome.ticks)(yLow, yHigh)) {
    drawing.append(microtome.svg('line', { x1: left, x2: width - right, y1: up(value), y2: up(value), class: 'grid' }),
      microtome.svg('text', { x: left - 5, y: up(value) + 4, 'text-anchor': 'end' }, microtome.number(value)));
  }
  for (const value of more ? [xLow, ...microtome.powers(Math.max(1, xLow + 1), xHigh)] : (xLog ? microtome.powers : microtome.ticks)(xLow, xHigh)) {
    drawing.append(microtome.svg('text', { x: across(value), y: height - bottom + 15, 'text-anchor': 'middle' }, microtome.number(value)));
  }
  drawing.append(microtome.svg('line', { x1: left, x2: width - right, y1: up(Math.max(yLow, 0)), y2: up(Math.max(yLow, 0)), class: 'axis' }),
    microtome.svg('text', { x: (left + width - right) / 2, y: height - 5, 'text-anchor': 'middle', class: 'name' }, xLabel),
    microtome.svg('text', { transform: `translate(11 ${(height - bottom + top) / 2}) rotate(-90)`, 'text-anchor': 'middle', class: 'name' }, yLabel));
  return { drawing, across, up };
};

microtome.bars = (card, x, series) => {
  if (typeof x[0] === 'string') return microtome.rows(card, x, series);
  const y = series[0].y;
  const step = x.length > 1 ? x[1] - x[0] : 1;
  const { drawing, across, up } = microtome.axes(card.title, [x[0] - step / 2, x[x.length - 1] + step / 2],
    [Math.min(0, ...y), Math.max(...y, 1e-12)], card.x_label, card.y_label);
  const wide = Math.max(0.5, across(step) - across(0) - (x.length > 60 ? 0 : 1));
  if (x.length > microtome.CHART.most) { // one outline instead of a thousand bars
    const corners = y.flatMap((value, place) => [-1, 1].map((side) => `${(across(x[place]) + side * wide / 2).toFixed(2)},${up(value).toFixed(2)}`));
    drawing.append(microtome.svg('polygon', { points: [`${across(x[0])},${up(0)}`, ...corners, `${across(x[x.length - 1])},${up(0)}`].join(' '), class: 'bar' }));
    return drawing;
  }
  y.forEach((value, place) => {
    const high = Math.abs(up(value) - up(0));
    drawing.append(microtome.svg('rect', { x: across(x[place]) - wide / 2, y: Math.min(up(value), up(0)), width: wide, height: high, class: 'bar' },
      microtome.svg('title', {}, `${microtome.number(x[place])}: ${microtome.number(value)}`)));
  });
  return drawing;
};

// Bars with words: one line each, the word in front.
microtome.rows = (card, x, series) => {
  const y = series[0].y;
  const largest = Math.max(...y.map(Math.abs), 1e-12);
  const body = microtome.element('tbody');
  x.forEach((word, place) => {
    if (!word) return;
    body.append(microtome.element('tr', {}, microtome.element('th', { scope: 'row' }, word),
      microtome.element('td', { class: 'track' }, microtome.element('span', { class: 'fill', style: `width:${100 * Math.abs(y[place]) / largest}%` })),
      microtome.element('td', { class: 'figure' }, microtome.number(y[place]))));
  });
  return microtome.element('table', { class: 'wordbars', 'aria-label': `${card.title}: ${card.y_label}` }, body);
};

microtome.lines = (card, x, series) => {
  const [xLog, yLog] = [card.log.includes('x'), card.log.includes('y')];
  const more = microtome.more(card.log);
  const fits = (a, b) => b !== null && (!xLog || a + more > 0) && (!yLog || b > 0);
  const all = [...series.map((one) => one.y), ...(card.band ?? [])].flatMap((y) => y.filter((b, place) => fits(x[place], b)));
  const wide = x.filter((a) => !xLog || a + more > 0);
  const [low, high] = [card.from_zero && !yLog ? Math.min(0, ...all) : Math.min(...all), Math.max(...all)];
  const { drawing, across, up } = microtome.axes(card.title, [Math.min(...wide), Math.max(...wide)], [low, high], card.x_label, card.y_label, card.log);
  if (card.band) {
    const shown = x.map((value, place) => [value, card.band[0][place], card.band[1][place]]).filter(([a, b, c]) => fits(a, b) && fits(a, c));
    const there = shown.map(([a, b]) => `${across(a)},${up(b)}`);
    const back = shown.map(([a, , c]) => `${across(a)},${up(c)}`).reverse();
    drawing.append(microtome.svg('polygon', { points: [...there, ...back].join(' '), class: 'band' }));
  }
  series.forEach((one, order) => {
    const points = x.map((value, place) => [value, one.y[place]]).filter(([a, b]) => fits(a, b));
    drawing.append(microtome.svg('polyline', { points: points.map(([a, b]) => `${across(a)},${up(b)}`).join(' '), class: `line line${order}` }));
    if (order === 0) {
      points.forEach(([a, b]) => drawing.append(microtome.svg('circle', { cx: across(a), cy: up(b), r: 3, class: 'dot' },
        microtome.svg('title', {}, `${microtome.number(a)}: ${microtome.number(b)}`))));
    }
  });
  const legend = microtome.element('p', { class: 'legend' }, ...series.map((one, order) => microtome.element('span', { class: `key key${order}` }, one.name)));
  return microtome.element('div', {}, drawing, legend);
};

microtome.heat = (card) => {
  const cell = Math.max(14, Math.min(34, 460 / card.columns.length));
  const longest = (names) => Math.max(...names.map((name) => name.length));
  const [left, top] = [14 + 6.4 * longest(card.rows), 16 + 5.8 * longest(card.columns)];
  const largest = Math.max(...card.values.flat().map(Math.abs), 1e-12);
  const map = card.signed ? microtome.SIGNED : microtome.CIVIDIS;
  const colour = (value) => microtome.colour(card.signed ? (value / largest + 1) / 2 : value / largest, map);
  const drawing = microtome.svg('svg', {
    viewBox: `0 0 ${left + cell * card.columns.length + 4 + top / 2} ${top + cell * card.rows.length + 4}`, class: 'chart heat', role: 'img',
    'aria-label': `${card.title}: ${card.row_label} by ${card.column_label}`,
  });
  card.rows.forEach((name, row) => {
    drawing.append(microtome.svg('text', { x: left - 5, y: top + cell * (row + 0.5) + 4, 'text-anchor': 'end' }, name));
    card.columns.forEach((other, column) => {
      const value = card.values[row][column];
      const title = microtome.svg('title', {}, `${name} → ${other}: ${microtome.number(value)}`);
      drawing.append(microtome.svg('rect', { x: left + cell * column, y: top + cell * row, width: cell - 1, height: cell - 1, fill: value === null ? 'none' : colour(value) }, title));
      if (cell >= 26 && value >= 0.005) {
        drawing.append(microtome.svg('text', { x: left + cell * (column + 0.5), y: top + cell * (row + 0.5) + 3, 'text-anchor': 'middle', class: microtome.light(colour(value)) > 0.179 ? 'on-light' : 'on-dark' }, value >= 0.995 ? '1' : value.toFixed(2).slice(1)));
      }
    });
  });
  card.columns.forEach((name, column) => drawing.append(microtome.svg('text', { transform: `translate(${left + cell * (column + 0.5) + 4} ${top - 6}) rotate(-60)` }, name)));
  return microtome.element('div', {}, drawing, microtome.ramp(card.signed ? -largest : 0, largest, 'number', map));
};

// A scale of colours between its two numbers.
microtome.ramp = (low, high, kind, map = microtome.CIVIDIS) => microtome.element('span', { class: 'ramp' }, microtome.number(low, kind),
  microtome.element('span', { class: 'colours', style: `background:linear-gradient(to right,${map.map((_, place) => microtome.colour(place / (map.length - 1), map)).join(',')})` }),
  microtome.number(high, kind));

// Small helpers: elements, numbers, colours.

microtome.element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};

microtome.number = (value, kind = 'number') => {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || kind === 'flag') return value ? 'yes' : 'no';
  if (kind === 'share') return `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%`;
  if (Number.isInteger(value)) return value.toLocaleString('en');
  const size = Math.abs(value);
  return size >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
};

// The cividis map (Nuñez, Anderton, Renslow 2018) at nine points: even steps of lightness, safe for colour-blind eyes.
microtome.CIVIDIS = [[0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120], [155, 148, 118],
  [188, 174, 108], [222, 203, 87], [254, 232, 56]];

// Blue below 0, orange above; the same lightness means the same distance from 0.
microtome.SIGNED = [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 180, 110], [179, 88, 6]];

microtome.colour = (share, map = microtome.CIVIDIS) => {
  const at = Math.max(0, Math.min(1, share)) * (map.length - 1);
  const low = Math.min(Math.floor(at), map.length - 2);
  const mixed = map[low].map((start, channel) => Math.round(start + (map[low + 1][channel] - start) * (at - low)));
  return `rgb(${mixed.join(',')})`;
};

// Relative luminance; where it is 0.179, black and white text stand out equally (WCAG 2.2).
microtome.light = (colour) => colour.match(/\d+/g).map((value) => value / 255)
  .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  .reduce((sum, value, channel) => sum + value * [0.2126, 0.7152, 0.0722][channel], 0);

// Range of a list of numbers, without its most extreme hundredth on either side.
microtome.range = (values) => {
  const known = values.filter((value) => typeof value === 'number' && Number.isFinite(value)).sort((a, b) => a - b);
  if (!known.length) return [0, 1];
  const at = (share) => known[Math.round(share * (known.length - 1))];
  const [low, high] = [at(0.01), at(0.99)];
  return high > low ? [low, high] : [known[0], known[known.length - 1] > known[0] ? known[known.length - 1] : known[0] + 1];
};

// Text that may be broken behind the marks in names of layers and files.
microtome.breakable = (text) => text.split(/(?<=[/_])(?=\S)|(?<=[.:])(?=[^\s\d])/).flatMap((part, place) => (place ? [document.createElement('wbr'), part] : [part]));

microtome.slug = (title) => title.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '-');
microtome.layerLink = (name, query = '') => `#/layer/${name}${query ? `?${query}` : ''}`;
microtome.unitLink = (layer, unit) => `#/unit/${layer}/${unit}`;

// Pictures: parts of sheets, drawn on small canvases when they come into view.

microtome.sheets = new Map();

microtome.sheet = (path) => {
  if (!microtome.sheets.has(path)) {
    microtome.sheets.set(path, new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => reject(new Error(`${path} is missing beside index.html`));
      image.src = path;
    }));
  }
  return microtome.sheets.get(path);
};

// What waits to be drawn: at once when it comes into view, and one after the other when the page has nothing else to do,
// so that what is printed or photographed whole has all its pictures.
microtome.waiting = new Map();

microtome.drawn = (element) => {
  const draw = microtome.waiting.get(element);
  microtome.waiting.delete(element);
  microtome.seen.unobserve(element);
  return draw?.();
};

microtome.seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) microtome.drawn(entry.target);
}, { rootMargin: '200px' });

microtome.whenSeen = (element, draw) => {
  microtome.waiting.set(element, draw);
  microtome.seen.observe(element);
  microtome.soon();
};

// Another page: what waited on the one before is forgotten.
microtome.turnTo = (...nodes) => {
  document.getElementById('page').replaceChildren(...nodes);
  for (const element of microtome.waiting.keys()) {
    if (element.isConnected) continue;
    microtome.waiting.delete(element);
    microtome.seen.unobserve(element);
  }
};

microtome.drawAll = () => Promise.all([...microtome.waiting.keys()].map(microtome.drawn));

microtome.soon = () => {
  if (microtome.idle) return;
  microtome.idle = requestIdleCallback(async (time) => {
    const next = () => [...microtome.waiting.keys()].find((element) => element.isConnected);
    try {
      for (let element = next(); element && time.timeRemaining() > 3; element = next()) await microtome.drawn(element);
    } finally {
      microtome.idle = 0;
      if (next()) microtome.soon();
    }
  });
};

// A canvas that shows the part [left, top, width, height] of a sheet, its long side `side` CSS pixels.
microtome.part = (path, [left, top, width, height], side, { crisp, label, lazy = true }) => {
  const scale = side / Math.max(width, height);
  const density = Math.min(2, window.devicePixelRatio || 1);
  const canvas = microtome.element('canvas', {
    role: 'img', 'aria-label': label, width: Math.max(1, Math.round(width * scale * density)),
    height: Math.max(1, Math.round(height * scale * density)),
    style: `width:${Math.max(1, width * scale)}px;aspect-ratio:${width}/${height}`, // where there is less room, both shrink
  });
  const draw = async () => {
    const image = await microtome.sheet(path);
    const pen = canvas.getContext('2d');
    pen.imageSmoothingEnabled = !(crisp || scale >= 3);
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(image, left, top, width, height, 0, 0, canvas.width, canvas.height);
    canvas.dataset.drawn = 'yes';
  };
  if (lazy) microtome.whenSeen(canvas, draw); else draw();
  return canvas;
};

// A crop [top, left, bottom, right] of one image of the set; pointing at it shows where it lies in the whole.
microtome.crop = (network, index, box, caption, side) => {
  const images = network.images;
  const where = images && images.where[index];
  if (index < 0 || !where) return microtome.element('span', { class: 'none', title: 'no image' }, '–');
  const [sheet, left, top] = where;
  const path = `images/${images.sheets[sheet]}`;
  const [boxTop, boxLeft, boxBottom, boxRight] = box;
  const name = network.info.images.class_names[images.labels[index]] ?? '';
  const label = [caption, name, images.ids[index]].filter(Boolean).join(', ');
  const part = [left + boxLeft, top + boxTop, boxRight - boxLeft, boxBottom - boxTop];
  const canvas = microtome.part(path, part, side, { crisp: images.crisp, label });
  const whole = () => microtome.wholeImage(network, index, box, label);
  const holder = microtome.element('span', { class: 'crop', tabindex: 0, role: 'img', title: label, 'aria-label': label }, canvas);
  microtome.magnify(holder, whole);
  return holder;
};

microtome.wholeImage = (network, index, box, label) => {
  const { where, height, width, crisp, sheets } = network.images;
  const [sheet, left, top] = where[index];
  const side = Math.max(192, Math.min(288, width));
  const canvas = microtome.part(`images/${sheets[sheet]}`, [left, top, width, height], side, { crisp, label, lazy: false });
  const scale = side / Math.max(width, height);
  const [boxTop, boxLeft, boxBottom, boxRight] = box.map((edge) => edge * scale);
  const frame = microtome.element('span', {
    class: 'frame', style: `left:${boxLeft}px;top:${boxTop}px;width:${boxRight - boxLeft}px;height:${boxBottom - boxTop}px`,
  });
  return microtome.element('figure', {}, microtome.element('span', { class: 'whole' }, canvas, frame),
    microtome.element('figcaption', {}, label));
};

// One picture of a pictures card: the `place`-th tile of its sprite.
microtome.tile = (card, place, side, label) => {
  const box = [(place % card.columns) * card.width, Math.floor(place / card.columns) * card.height, card.width, card.height];
  return microtome.part(`data/${card.sprite}`, box, side, { crisp: card.crisp, label });
};

// The lens: one floating box beside what is pointed at or focused.
microtome.magnify = (target, content) => {
  const lens = document.getElementById('lens');
  const show = () => {
    lens.replaceChildren(content());
    lens.hidden = false;
    const spot = target.getBoundingClientRect();
    const left = Math.max(8, Math.min(spot.right + 12, window.innerWidth - lens.offsetWidth - 8));
    const below = spot.bottom + 12 + lens.offsetHeight < window.innerHeight;
    const beside = left > spot.right;
    const top = beside ? Math.min(spot.top, window.innerHeight - lens.offsetHeight - 8)
      : below ? spot.bottom + 12 : spot.top - lens.offsetHeight - 12;
    lens.style.left = `${left}px`;
    lens.style.top = `${Math.max(8, top)}px`;
  };
  const hide = () => { lens.hidden = true; };
  for (const name of ['pointerenter', 'focus']) target.addEventListener(name, show);
  for (const name of ['pointerleave', 'blur']) target.addEventListener(name, hide);
};

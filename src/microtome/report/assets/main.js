// Addresses: #/ , #/card/TITLE , #/part/NAME , #/layer/NAME?sort=...&filter=... , #/unit/NAME/NUMBER ; of the latter two
// ?at=PART goes to a part of the page.

microtome.route = () => {
  const [path, search] = location.hash.replace(/^#/, '').split('?');
  const query = new URLSearchParams(search ?? '');
  const [, kind, ...rest] = decodeURIComponent(path).split('/');
  if (kind === 'layer') return { kind, query, layer: rest.join('/') };
  if (kind === 'unit') return { kind, query, layer: rest.slice(0, -1).join('/'), unit: Number(rest.at(-1)) };
  return { kind: 'first', query, wanted: ['card', 'part'].includes(kind) ? `${kind}-${rest[0]}` : null };
};

microtome.show = async () => {
  if (location.hash && !location.hash.startsWith('#/')) return; // a place on this page, such as the skip link's
  const { kind, query, layer, unit, wanted } = microtome.route();
  const page = document.getElementById('page');
  document.getElementById('lens').hidden = true;
  page.setAttribute('aria-busy', 'true');
  try {
    if (kind === 'layer') await microtome.layerPage(layer, query);
    else if (kind === 'unit') await microtome.unitPage(layer, unit);
    else await microtome.firstPage(query, wanted);
  } catch (error) {
    microtome.turnTo(microtome.element('section', { class: 'headline' }, microtome.element('h1', {}, 'Not here'),
      microtome.element('p', { role: 'alert' }, error.message), microtome.element('p', {}, microtome.element('a', { href: '#/' }, 'To the first page'))));
  }
  const place = kind === 'layer' ? layer : kind === 'unit' ? `${layer}:${unit}` : '';
  document.title = [place, microtome.model, 'microtome'].filter(Boolean).join(' · ');
  const trail = [microtome.element('a', { href: '#/' }, microtome.model)];
  if (layer) trail.push(microtome.element('a', { href: microtome.layerLink(layer) }, layer));
  if (kind === 'unit') trail.push(microtome.element('span', {}, String(unit)));
  document.getElementById('trail').replaceChildren(...trail);
  document.getElementById('jump').value = layer ?? '';
  page.removeAttribute('aria-busy');
  const at = query.get('at');
  if (at) microtome.goTo(document.getElementById(`card-${at}`) ?? document.getElementById(`part-${at}`));
  else if (!wanted) window.scrollTo(0, 0);
  microtome.soon();
};

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') document.getElementById('lens').hidden = true;
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.('input, select')) return;
  if (microtome.moveInGrid(event)) return;
  const direction = { ArrowLeft: 'prev', ArrowRight: 'next' }[event.key];
  const link = direction && !event.target.closest?.('.scroll, .strip') && document.querySelector(`a[rel=${direction}]`);
  if (link) link.click();
});

document.getElementById('jump').addEventListener('change', (event) => {
  location.hash = event.target.value ? microtome.layerLink(event.target.value) : '#/';
});

microtome.model = document.querySelector('h1').textContent;
microtome.first = [...document.getElementById('page').childNodes].map((node) => node.cloneNode(true));
window.addEventListener('hashchange', microtome.show);
microtome.show();

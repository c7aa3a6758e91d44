// Folds, the contents of a page, and going to a part of it. Parts are addressed with `at`: #/layer/conv1?at=kernels.

microtome.fold = (summary, content, open = false) => microtome.element('details', { class: 'fold', open },
  microtome.element('summary', {}, ...summary), ...content);

// The contents of a page: links [address, words], and, where there are folds, a button that opens them all.
microtome.contents = (links, folds = false) => microtome.element('nav', { class: 'contents', 'aria-label': 'On this page' },
  ...links.map(([href, words]) => microtome.element('a', { href }, words)),
  folds ? microtome.element('button', { type: 'button', id: 'unfold', onclick: microtome.unfold }, 'unfold all') : null);

microtome.unfold = () => {
  const folds = [...document.querySelectorAll('main details')];
  const open = folds.some((fold) => !fold.open);
  folds.forEach((fold) => { fold.open = open; });
  document.getElementById('unfold').textContent = open ? 'fold all' : 'unfold all';
};

// Show an element and put the keyboard there; folds around it are opened.
microtome.goTo = (element) => {
  if (!element) return;
  for (let fold = element.closest('details'); fold; fold = fold.parentElement.closest('details')) fold.open = true;
  if (element.matches('.made') || (element.matches('.topic') && !element.querySelector('details[open]'))) element.querySelector('details').open = true;
  element.scrollIntoView();
  element.setAttribute('tabindex', '-1');
  element.focus({ preventScroll: true });
};

// Paper has no folds: everything is open and drawn while it is printed.
microtome.folded = [];
window.addEventListener('beforeprint', () => {
  microtome.folded = [...document.querySelectorAll('details:not([open])')];
  microtome.folded.forEach((fold) => { fold.open = true; });
  microtome.drawAll();
});
window.addEventListener('afterprint', () => {
  microtome.folded.forEach((fold) => { fold.open = false; });
});

// Data: scripts hand themselves over by name; a layer's file is loaded when its page is opened first.

microtome.arrived = new Map();
microtome.awaited = new Map();

microtome.receive = (name, content) => {
  microtome.arrived.set(name, content);
};

microtome.load = (name) => {
  if (!microtome.awaited.has(name)) {
    microtome.awaited.set(name, new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = `data/${name}.js`;
      script.onload = () => resolve(microtome.arrived.get(name));
      script.onerror = () => reject(new Error(`data/${name}.js is missing beside index.html`));
      document.head.append(script);
    }));
  }
  return microtome.awaited.get(name);
};

// What is known of one layer: its place, description, cards of the layer and of its units.
microtome.layer = async (name) => {
  const network = await microtome.load('network');
  const place = network.info.layers.findIndex((layer) => layer.name === name);
  if (place < 0) throw new Error(`This network has no layer "${name}". Choose one above.`);
  const cards = await microtome.load(`layer-${place}`);
  return {
    place,
    about: network.info.layers[place],
    cards: cards.filter((card) => !card.per_unit),
    unitCards: cards.filter((card) => card.per_unit),
    columns: network.columns.filter((column) => column.values[place]),
  };
};

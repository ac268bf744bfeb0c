// Breed: a person in place of the network. Offspring are mutated copies of the picked pictures; there is no crossover.
// In a page that `fooling breed` serves, what is picked is recorded as a run.
import { SIDE, assemble, fromHash, fromLine, parts, png, setSide, toHash, toLine } from "./fooling.js";
import { askProgram } from "./served.js";
import { openStore } from "./store.js";
import { element, find, graph, paint, percent, say, save, sequence, served, startWorker, svg } from "./view.js";

/** Pixels of a picture on the page: with pixel coordinates another size would be another picture. */
const shownSide = (spec) => (spec.coordinates === "unit" ? Math.min(Math.max(160, SIDE), 512) : SIDE);

async function askWorker() {
  const ask = startWorker();
  await ask("open");
  return { ask };
}

/** Says what the program's network is, and what is kept where. */
function introduce({ model, side, colour }) {
  setSide(side);
  find("breed-lead").textContent = `Pick the pictures that you like, then breed: sixteen offspring take their place. Under each picture is what ${model} takes it for.`;
  find("kind").value = colour ? "unit colour" : "unit";
  find("about").textContent = "Pictures are drawn and named by fooling on this computer. ";
}

export async function openBreed() {
  const { ask, about } = served ? await askProgram() : await askWorker();
  if (about) introduce(about);
  // Numbers of offspring mean the same only for pictures of the same size.
  const store = await openStore(about ? `fooling ${about.model} ${about.side}` : "fooling");
  if (!store.lasting) say("This browser gives the page no storage: what you breed is lost when you close it.");
  const generations = new Map((await store.all()).map((generation) => [generation.id, generation]));
  const history = []; // For undo: {id, picked} before each change.
  let here;
  let looks = [];

  const picks = () => here.picked;
  // Increasing, and different in two tabs, which do not see each other's generations.
  const nextId = () => Math.max(Date.now(), ...[...generations.keys()].map((id) => id + 1));

  /** Makes a generation the current one. `known` has its pictures if they have just been made. */
  async function go(id, known) {
    const next = generations.get(id);
    const shown = known ?? (await ask("show", { genomes: next.genomes, side: shownSide(next.spec), spec: next.spec }));
    [here, looks] = [next, shown];
    await store.setPlace(id);
    draw();
  }

  async function add(generation, known) {
    const made = { id: nextId(), picked: [], ...generation };
    generations.set(made.id, made);
    await store.put(made);
    await go(made.id, known);
  }

  const note = () => history.push({ id: here?.id, picked: here ? [...here.picked] : [] });

  async function fresh() {
    if (here) {
      note();
      say("");
    }
    const [coordinates, colour] = find("kind").value.split(" ");
    const spec = { coordinates, colour: "hsv" };
    if (!served) return bred({ parent: null, from: [], spec, colour: Boolean(colour) });
    const run = { seed: String(randomSeed()), strength: Number(find("strength").value), coordinates, colour: Boolean(colour) };
    await recorded({ parent: null, spec, run, chosen: [] });
  }

  const randomSeed = () => crypto.getRandomValues(new BigUint64Array(1))[0] >> 1n;
  const depthBelow = (parent) => (parent === null ? 0 : generations.get(parent).depth + 1);

  /** The next generation of a run of the program: `chosen` has the numbers of what was picked in each generation before it. */
  async function recorded({ parent, spec, run, chosen }) {
    const { children, folder } = await ask("pick", { run, picked: chosen, sure: find("sure").checked, side: shownSide(spec) });
    const numbers = children.map(({ child }) => child);
    await add({ parent, depth: depthBelow(parent), spec, run, chosen, numbers, genomes: children.map(({ genome }) => genome) }, children);
    if (folder) find("about").textContent = `Pictures are drawn and named by fooling on this computer. What you pick is kept in ${folder}. `;
  }

  async function bred({ parent, from, spec, colour }) {
    const seed = randomSeed();
    const depth = depthBelow(parent);
    const request = { parents: from, colour, strength: Number(find("strength").value), seed, generation: depth, sure: find("sure").checked, spec, side: shownSide(spec) };
    const children = await ask("breed", request);
    await add({ parent, depth, spec, genomes: children.map(({ genome }) => genome) }, children);
  }

  async function next() {
    if (!picks().length) return say("Pick one or more pictures first.");
    say("");
    note();
    if (here.run) {
      const chosen = [...here.chosen, picks().map((place) => here.numbers[place])];
      return recorded({ parent: here.id, spec: here.spec, run: here.run, chosen });
    }
    // A genome keeps the number of its outputs, so `colour` is for random ones.
    await bred({ parent: here.id, from: picks().map((place) => here.genomes[place]), spec: here.spec, colour: false });
  }

  const children = (id) => [...generations.values()].filter(({ parent }) => parent === id);

  async function back() {
    if (here.parent === null) return;
    note();
    await go(here.parent);
  }

  async function forward() {
    const later = children(here.id).at(-1);
    if (!later) return;
    note();
    await go(later.id);
  }

  async function undo() {
    const before = history.pop();
    if (!before) return;
    const generation = generations.get(before.id);
    generation.picked = before.picked;
    await store.put(generation);
    await go(before.id);
  }

  async function pick(place) {
    note();
    here.picked = picks().includes(place) ? picks().filter((other) => other !== place) : [...picks(), place];
    await store.put(here);
    draw();
  }

  /** A genome from a link or a file becomes a generation of its own: it and fifteen offspring. */
  async function bring({ bytes, spec }) {
    const side = shownSide(spec);
    const [itself] = await ask("show", { genomes: [bytes], side, spec }); // Refuses damaged genomes.
    if (here) note();
    const offspring = await ask("breed", { parents: [bytes], colour: false, strength: 1, seed: 1n, generation: 0, sure: false, spec, side });
    const pictures = [itself, ...offspring.slice(0, 15)];
    await add({ parent: null, depth: 0, spec, genomes: pictures.map(({ genome }) => genome), picked: [0] }, pictures);
  }

  function draw() {
    const drawn = here;
    const slots = looks.map(({ pixels, label, score, others }, place) => {
      const picture = element("button", { className: "picture" }, paint(element("canvas"), pixels), element("div", { className: "label" }, element("b", { textContent: label }), element("span", { textContent: percent(score) })));
      picture.setAttribute("aria-pressed", picks().includes(place));
      if (others) picture.title = others.map(([name, confidence]) => `${name} ${percent(confidence)}`).join(", ");
      picture.setAttribute("aria-label", `Picture ${place + 1}: the network says ${label}, ${percent(score)}`);
      // A click that waited until other pictures were shown is not about those.
      picture.onclick = guard(() => here === drawn && pick(place));
      const more = element("button", { className: "more", textContent: "⋯", ariaLabel: `More about picture ${place + 1}` });
      more.onclick = guard(() => detail(drawn.genomes[place], drawn.spec));
      return element("div", { className: "slot" }, picture, more);
    });
    const focused = [...find("pictures16").querySelectorAll("button")].indexOf(document.activeElement);
    find("pictures16").replaceChildren(...slots);
    if (focused >= 0) find("pictures16").querySelectorAll("button")[focused].focus();
    find("next").disabled = !picks().length;
    find("back").disabled = here.parent === null;
    find("forward").disabled = !children(here.id).length;
    find("undo").disabled = !history.length;
    drawTree().catch((error) => say(error.message));
  }

  const thumbnails = new WeakMap(); // Of genomes.
  let drawings = 0;
  /** The family tree: generations from left to right, each with the first picture that was picked in it. */
  async function drawTree() {
    const [size, gap] = [44, 22];
    const [number, shown] = [++drawings, [...generations.values()]];
    const rows = new Map();
    let row = 0;
    const lay = (id) => {
      const below = shown.filter(({ parent }) => parent === id);
      rows.set(id, row);
      below.forEach((child, i) => {
        if (i > 0) row++;
        lay(child.id);
      });
    };
    for (const root of shown) {
      if (root.parent !== null) continue;
      lay(root.id);
      row++;
    }
    const at = (generation) => [8 + generation.depth * (size + gap), 8 + rows.get(generation.id) * (size + gap)];
    const widest = Math.max(...shown.map(({ depth }) => depth));
    const [width, height] = [16 + (widest + 1) * (size + gap), 16 + row * (size + gap)];
    const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    for (const generation of shown) {
      const [x, y] = at(generation);
      if (generation.parent !== null) {
        const [px, py] = at(generations.get(generation.parent));
        drawing.append(svg("path", { class: "branch", d: `M${px + size} ${py + size / 2}C${px + size + gap / 2} ${py + size / 2} ${x - gap / 2} ${y + size / 2} ${x} ${y + size / 2}` }));
      }
    }
    for (const [place, generation] of shown.entries()) {
      const [x, y] = at(generation);
      const genome = generation.genomes[generation.picked[0] ?? 0];
      if (!thumbnails.has(genome)) {
        const pixels = await ask("draw", { genome, side: SIDE, spec: generation.spec });
        if (number !== drawings) return; // A later call draws what has changed.
        thumbnails.set(genome, paint(element("canvas"), pixels).toDataURL());
      }
      const link = svg("a", { href: "#breed", class: generation === here ? "here" : "", "aria-label": `Generation ${generation.depth}, number ${place + 1}` });
      link.append(svg("image", { x, y, width: size, height: size, href: thumbnails.get(genome) }), svg("rect", { x, y, width: size, height: size, rx: 4 }));
      const jump = guard(() => {
        note();
        return go(generation.id);
      });
      link.onclick = (event) => {
        event.preventDefault();
        return jump();
      };
      drawing.append(link);
    }
    find("tree").replaceChildren(drawing);
    find("tree").querySelector(".here")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** A picture with its genome: the graph, a slider for each weight, ways to save it. */
  async function detail(bytes, spec) {
    const genome = parts(bytes);
    let current = bytes;
    const [canvas, name, drawn] = [element("canvas"), element("p", {}), element("div", {})];
    const look = async () => {
      const [shown] = await ask("show", { genomes: [current], side: spec.coordinates === "unit" ? Math.max(320, shownSide(spec)) : SIDE, spec });
      paint(canvas, shown.pixels);
      const { label, score } = shown;
      name.textContent = `The network says ${label}: ${percent(score)}`;
    };
    const redraw = async () => drawn.replaceChildren(await graph(ask, current, spec));
    const sliders = genome.links.map((link) => {
      const value = element("output", { textContent: link.weight.toFixed(1) });
      const slider = element("input", { type: "range", min: -10, max: 10, step: 0.1, value: link.weight, ariaLabel: `Weight from node ${link.source} to node ${link.target}` });
      slider.oninput = guard(async () => {
        const weight = Math.fround(Number(slider.value));
        if (weight === link.weight) return; // Earlier events of the same movement.
        link.weight = weight;
        value.textContent = link.weight.toFixed(1);
        current = assemble(genome);
        await look();
      });
      slider.onchange = guard(redraw);
      return element("label", {}, `${link.source} → ${link.target}`, slider, value);
    });
    const size = element("input", { type: "number", min: 1, max: 4096, value: spec.coordinates === "unit" ? 512 : Math.min(10, Math.floor(4096 / SIDE)) * SIDE, ariaLabel: "Pixels a side" });
    const [savePng, saveGenome, copy, use] = ["Save PNG", "Save genome", "Copy link", "Breed from it"].map((text) => element("button", { textContent: text }));
    savePng.onclick = guard(async () => {
      const pixels = Number(size.value);
      if (!Number.isInteger(pixels) || pixels < 1 || pixels > 4096) throw new Error("A picture has 1 to 4096 pixels a side.");
      // With pixel coordinates another size is another picture, so the pixels grow instead.
      const enlarge = spec.coordinates === "unit" ? 1 : Math.max(1, Math.round(pixels / SIDE));
      const side = spec.coordinates === "unit" ? pixels : SIDE;
      save("picture.png", await png(await ask("draw", { genome: current, side, spec }), side, enlarge), "image/png");
    });
    saveGenome.onclick = () => save("genome.jsonl", `${toLine(current, spec)}\n`, "application/jsonl");
    copy.onclick = guard(async () => {
      // The link is in the address bar even where the clipboard is refused.
      globalThis.history.replaceState(null, "", toHash(current, spec));
      await navigator.clipboard?.writeText(location.href).catch(() => {});
      copy.textContent = "In the address bar";
    });
    use.onclick = guard(async () => {
      find("detail").close();
      await bring({ bytes: current, spec });
    });
    find("detail-title").textContent = "A picture and its genome";
    find("detail-body").replaceChildren(
      element("div", { className: "split" }, element("div", {}, canvas, name), drawn),
      element("h2", {}, "Weights"),
      element("div", { className: "sliders" }, ...sliders),
      element("div", { className: "bar" }, element("label", {}, "Pixels a side ", size), savePng, saveGenome, copy, use),
    );
    await Promise.all([look(), redraw()]);
    find("detail").showModal();
  }

  /** Runs actions in the order of the clicks, one at a time, and shows their errors. */
  const inOrder = sequence();
  function guard(action) {
    return () =>
      inOrder(action).catch((error) => {
        if (find("detail").open) find("detail").close();
        say(`${error.message.charAt(0).toUpperCase()}${error.message.slice(1).replace(/\.$/, "")}.`);
      });
  }

  const fromLink = guard(async () => {
    const linked = fromHash(location.hash);
    if (linked) {
      await bring(linked);
      globalThis.history.replaceState(null, "", "#breed"); // So that the same link can be opened again, and a reload does not.
      say("");
    }
  });
  const place = await store.place();
  if (generations.has(place)) await go(place);
  else if (generations.size) await go(Math.max(...generations.keys()));
  await fromLink();
  if (!here) await fresh();
  for (const [id, action] of Object.entries({ next, back, forward, undo, fresh })) find(id).onclick = guard(action);
  find("open").onchange = guard(async () => {
    const file = find("open").files[0];
    find("open").value = "";
    if (!file) return;
    if (file.size > 1 << 21) throw new Error("the file is too large for a genome");
    await bring(fromLine(await file.text()));
    say("");
  });
  addEventListener("hashchange", fromLink);
  find("strength").onchange = () => here.run && say("Another strength of mutation applies from the next new start."); // It is part of what decides a run.
  return {};
}

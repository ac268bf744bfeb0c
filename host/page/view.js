// What both tabs draw with: elements, pictures, the genome's graph, messages, the worker.
import { ACTIVATIONS, INPUTS, SIDE, nodeGenome, parts } from "./fooling.js";

export const find = (id) => document.getElementById(id);

/** An element with properties and children. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "role") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";
export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Draws grey bytes, or red, green and blue, onto a canvas. */
export function paint(canvas, pixels) {
  const channels = pixels.length % 3 === 0 && Number.isInteger(Math.sqrt(pixels.length / 3)) ? 3 : 1;
  const side = Math.sqrt(pixels.length / channels);
  canvas.width = canvas.height = side;
  canvas.classList.toggle("pixelated", side === SIDE);
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[channels === 3 ? 3 * i + c : i];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
  return canvas;
}

/** Whether `fooling breed` serves the page; then it draws and scores. */
export const served = "served" in document.documentElement.dataset;

/** Rounded down, so that only a score of 1 is shown as 100 %. */
export const percent = (score) => `${(Math.floor(score * 1000) / 10).toFixed(1)} %`;

export function say(text) {
  find("message").textContent = text;
  find("message").hidden = !text;
}

export function save(name, bytes, type) {
  const link = element("a", { href: URL.createObjectURL(new Blob([bytes], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Runs actions one at a time, in the order of the calls. Each call returns its action's promise. */
export function sequence() {
  let last = Promise.resolve();
  return (action) => {
    const result = last.then(action);
    last = result.catch(() => {});
    return result;
  };
}

/** A worker whose actions are promises. */
export function startWorker() {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data: { id, result, problem } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (problem === undefined) resolve(result);
    else reject(new Error(problem));
  };
  worker.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message ?? "the worker stopped"));
    waiting.clear();
  };
  return (action, rest = {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, action, ...rest });
    });
}

/** The graph of a genome: inputs left, outputs right, each node with the picture that it computes. */
export async function graph(ask, bytes, spec) {
  const genome = parts(bytes);
  const { outputs, nodes, links } = genome;
  // Only what reaches an output is drawn.
  const used = new Set(Array.from({ length: outputs }, (_, i) => INPUTS + i));
  for (let grown = true; grown; ) {
    grown = false;
    for (const { source, target } of links) if (used.has(target) && !used.has(source)) grown = Boolean(used.add(source));
  }
  const depth = nodes.map(() => 0);
  for (let round = 0; round < nodes.length; round++) {
    for (const { source, target } of links) depth[target] = Math.max(depth[target], depth[source] + 1);
  }
  const last = Math.max(1, ...depth);
  for (let i = 0; i < outputs; i++) depth[INPUTS + i] = last;
  const columns = new Map();
  for (const id of used) columns.set(depth[id], [...(columns.get(depth[id]) ?? []), id]);
  const size = 40;
  const tallest = Math.max(...[...columns.values()].map((column) => column.length));
  const [width, height] = [Math.max(420, 110 * last + 90), Math.max(200, tallest * (size + 24) + 10)];
  const at = new Map();
  for (const [column, ids] of columns) {
    ids.sort((a, b) => a - b).forEach((id, i) => at.set(id, [20 + (column * (width - 40 - size)) / last, ((i + 0.5) * height) / ids.length - size / 2]));
  }
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "graph", role: "img", "aria-label": `A network of ${nodes.length} nodes and ${links.length} links` });
  for (const { source, target, weight } of links) {
    if (!used.has(target) || !used.has(source)) continue;
    const [[x1, y1], [x2, y2]] = [at.get(source), at.get(target)];
    const [from, to, middle] = [y1 + size / 2, y2 + size / 2, (x1 + size + x2) / 2];
    const line = svg("path", { class: weight < 0 ? "link minus" : "link", "stroke-width": 0.5 + Math.abs(weight) / 4, opacity: 0.25 + Math.abs(weight) / 16, d: `M${x1 + size} ${from}C${middle} ${from} ${middle} ${to} ${x2} ${to}` });
    line.append(svg("title", {}, `weight ${weight.toFixed(2)}`));
    drawing.append(line);
  }
  const names = ["x", "y", "distance", "1"];
  for (const [id, [x, y]] of at) {
    const pixels = await ask("draw", { genome: nodeGenome(genome, id, spec), side: SIDE, spec });
    const name = id < INPUTS ? names[id] : ACTIVATIONS[nodes[id]];
    drawing.append(
      svg("image", { x, y, width: size, height: size, href: paint(document.createElement("canvas"), pixels).toDataURL() }),
      svg("rect", { x, y, width: size, height: size, rx: 3 }),
      svg("text", { x: x + size / 2, y: y + size + 12, "text-anchor": "middle" }, name),
    );
  }
  return drawing;
}

// The program as WebAssembly, and genomes as JavaScript objects. Runs in pages, in workers and in Node.

const FORMS = ["relaxed", "simd", "plain"];

/** Compiles the fastest form of the program whose scores are exact here. `fetchBytes(name)` gives the bytes of a file of the page. */
export async function loadProgram(fetchBytes) {
  let problem;
  for (const form of FORMS) {
    try {
      const { instance } = await WebAssembly.instantiate(await fetchBytes(`${form}.wasm`), {});
      const program = new Program(instance.exports, form);
      // A browser may round a relaxed multiply-add twice; then another form is right.
      if (instance.exports.exact() === 1) {
        program.load(await fetchBytes("lenet.bin"));
        return program;
      }
    } catch (error) {
      problem = error; // A form that the browser does not support.
    }
  }
  throw problem ?? new Error("this browser computes no exact scores");
}

/** The functions of the program, with bytes in and out. */
export class Program {
  constructor(exports, form) {
    this.exports = exports;
    this.form = form;
  }

  call(name, input, ...numbers) {
    const { memory, input: lend, output, output_length: length } = this.exports;
    const at = lend(input.length);
    new Uint8Array(memory.buffer, at, input.length).set(input);
    const status = this.exports[name](...numbers);
    const bytes = new Uint8Array(memory.buffer, output(), length()).slice();
    if (status !== 0) throw new Error(new TextDecoder().decode(bytes));
    return bytes;
  }

  load(network) {
    this.call("load", network);
  }

  /** Starts a run: {encoding, variant, coordinates, seed (BigInt), batch}. */
  start({ encoding, variant, coordinates, seed, batch }, provenance) {
    const flags = [encoding === "direct", variant === "released", coordinates === "unit"].map(Number);
    this.call("start", new TextEncoder().encode(provenance), ...flags, BigInt.asIntN(64, BigInt(seed)), batch);
  }

  /** Evolves a generation: {generation, winners: [{child, parent, takes: [{cell, score}], genome, picture}]}. */
  step(pictureBytes) {
    const bytes = this.call("step", NOTHING);
    const view = new DataView(bytes.buffer);
    let at = 0;
    const number = () => view.getUint32((at += 4) - 4, true);
    const generation = number();
    const winners = Array.from({ length: number() }, () => {
      const child = number();
      const [parentGeneration, parentChild, cells] = [number(), number(), number()];
      const takes = Array.from({ length: cells }, () => ({ cell: number(), score: view.getFloat32((at += 4) - 4, true) }));
      const length = number();
      const genome = length ? bytes.slice(at, at + length) : null;
      at += length;
      const picture = bytes.slice(at, (at += pictureBytes));
      const parent = parentGeneration === NOBODY ? null : key(parentGeneration, parentChild);
      return { id: key(generation, child), parent, takes, genome, picture };
    });
    return { generation, winners };
  }

  journal() {
    return this.call("journal", NOTHING);
  }

  digest() {
    return Array.from(this.call("digest", NOTHING), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  /** A random genome, or an offspring of `parent` (bytes). */
  breed(parent, { colour, strength, seed, generation, child }) {
    return this.call("breed", parent ?? NOTHING, Number(colour), strength, BigInt.asIntN(64, BigInt(seed)), generation, child);
  }

  draw(genome, side, spec) {
    return this.call("draw", genome, side, Number(spec.coordinates === "unit"), COLOURS.indexOf(spec.colour ?? "hsv"));
  }

  score(genome, spec) {
    const bytes = this.call("score", genome, Number(spec.coordinates === "unit"), COLOURS.indexOf(spec.colour ?? "hsv"));
    return new Float32Array(bytes.buffer);
  }
}

const NOTHING = new Uint8Array();
const NOBODY = 0xffffffff;
const key = (generation, child) => `${generation}.${child}`;

/** The side of the pictures that the network sees, in pixels: 28, or what `fooling breed` says if it serves the page. */
export let SIDE = 28;
export function setSide(side) {
  SIDE = side;
}

/** The largest score and its class. */
export function best(scores) {
  let label = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i] > scores[label]) label = i;
  return { label, score: scores[label] };
}

export const COLOURS = ["hsv", "hls", "rgb"];
export const ACTIVATIONS = ["sine", "sigmoid", "gaussian", "linear"];
export const INPUTS = 4;
const MOST = { nodes: 512, links: 1024, side: 4096, text: 1 << 21 };

/** The parts of a genome: {outputs, nodes: [code], links: [{source, target, weight}]}. */
export function parts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 6) throw new Error("the genome is incomplete");
  const [nodes, links] = [view.getUint16(2, true), view.getUint16(4, true)];
  if (bytes.length !== 6 + nodes + 8 * links) throw new Error("the genome is incomplete");
  const link = (_, i) => {
    const at = 6 + nodes + 8 * i;
    return { source: view.getUint16(at, true), target: view.getUint16(at + 2, true), weight: view.getFloat32(at + 4, true) };
  };
  return { outputs: bytes[0], nodes: Array.from(bytes.subarray(6, 6 + nodes)), links: Array.from({ length: links }, link) };
}

/** The bytes of a genome, from its parts. */
export function assemble({ outputs, nodes, links }) {
  const bytes = new Uint8Array(6 + nodes.length + 8 * links.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = outputs;
  view.setUint16(2, nodes.length, true);
  view.setUint16(4, links.length, true);
  bytes.set(nodes, 6);
  links.forEach(({ source, target, weight }, i) => {
    const at = 6 + nodes.length + 8 * i;
    view.setUint16(at, source, true);
    view.setUint16(at + 2, target, true);
    view.setFloat32(at + 4, weight, true);
  });
  return bytes;
}

/** The shortest decimal that reads back as the same 32-bit float. */
function shortest(weight) {
  for (let digits = 1; digits < 9; digits++) {
    const number = Number(weight.toPrecision(digits));
    if (Math.fround(number) === weight) return number;
  }
  return Number(weight.toPrecision(9));
}

/** A genome as a line that `fooling render` reads. */
export function toLine(bytes, spec) {
  const { outputs, nodes, links } = parts(bytes);
  const kind = (id) => (id < INPUTS ? { kind: "input", index: id } : id < INPUTS + outputs ? { kind: "output", index: id - INPUTS } : { kind: "hidden" });
  return JSON.stringify({
    size: SIDE,
    coordinates: spec.coordinates,
    ...(outputs === 3 ? { colour: spec.colour ?? "hsv" } : {}),
    outputs,
    nodes: nodes.map((code, id) => ({ id, ...kind(id), activation: ACTIVATIONS[code] })),
    connections: links.map(({ source, target, weight }) => ({ source, target, weight: shortest(weight) })),
  });
}

/** A genome from such a line: {bytes, spec}. Throws an error that says what is wrong with it. */
export function fromLine(text) {
  if (text.length > MOST.text) throw new Error("the file is too large for a genome");
  const first = text.split("\n").find((line) => line.trim() !== "") ?? "";
  let line;
  try {
    line = JSON.parse(first);
  } catch {
    throw new Error("this is not a genome file: its first line is not JSON");
  }
  if (line === null || typeof line !== "object" || !Array.isArray(line.nodes) || !Array.isArray(line.connections)) {
    throw new Error("this is not a genome: it needs nodes and connections");
  }
  if (line.nodes.length > MOST.nodes || line.connections.length > MOST.links) throw new Error("more nodes or connections than fit");
  const whole = (value, most) => Number.isInteger(value) && value >= 0 && value <= most;
  const nodes = line.nodes.map((node, id) => {
    const code = ACTIVATIONS.indexOf(node?.activation);
    if (node?.id !== id) throw new Error(`node ${id} must have the id ${id}`);
    if (code < 0) throw new Error(`node ${id} has an unknown activation`);
    return code;
  });
  const links = line.connections.map((link, i) => {
    if (!whole(link?.source, 0xffff) || !whole(link?.target, 0xffff) || !Number.isFinite(link?.weight)) {
      throw new Error(`connection ${i} needs a source, a target and a weight`);
    }
    return { source: link.source, target: link.target, weight: link.weight };
  });
  if (line.outputs !== 1 && line.outputs !== 3) throw new Error("a genome has 1 or 3 outputs");
  const coordinates = line.coordinates ?? "pixel";
  if (!["pixel", "unit"].includes(coordinates)) throw new Error("unknown coordinates");
  const colour = line.colour ?? "hsv";
  if (!COLOURS.includes(colour)) throw new Error("unknown colour space");
  return { bytes: assemble({ outputs: line.outputs, nodes, links }), spec: { coordinates, colour } };
}

export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromBase64(text) {
  if (text.length > 16384 || !/^[A-Za-z0-9_-]*$/.test(text)) throw new Error("the link is damaged");
  let raw;
  try {
    raw = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw new Error("the link is damaged");
  }
  return Uint8Array.from(raw, (letter) => letter.charCodeAt(0));
}

/** A genome as the hash of a link. */
export const toHash = (bytes, spec) => `#g=1.${spec.coordinates}.${spec.colour ?? "hsv"}.${toBase64(bytes)}`;

/** A genome from the hash of a link; none if it holds none. Throws if it is damaged. */
export function fromHash(hash) {
  if (!hash.startsWith("#g=")) return null;
  const [version, coordinates, colour, text, ...rest] = hash.slice(3).split(".");
  if (version !== "1" || rest.length || !["pixel", "unit"].includes(coordinates) || !COLOURS.includes(colour)) {
    throw new Error("the link is damaged, or was made by a later version");
  }
  return { bytes: fromBase64(text ?? ""), spec: { coordinates, colour } };
}

/** The genome that draws what one node computes: its only output has the node's activation and inputs. */
export function nodeGenome({ outputs, nodes, links }, node, spec) {
  if (node < INPUTS) {
    // A linear output shows a third of its sum, from -1 to 1.
    const weight = node < 2 && spec.coordinates === "pixel" ? 3 / (SIDE - 1) : 3;
    return assemble({ outputs: 1, nodes: [...nodes.slice(0, INPUTS), 3], links: [{ source: node, target: INPUTS, weight }] });
  }
  // Hidden nodes keep their order behind one output.
  const place = (id) => (id < INPUTS ? id : id < INPUTS + outputs ? -1 : id - outputs + 1);
  const own = links.filter((link) => link.target === node).map((link) => ({ ...link, source: place(link.source), target: INPUTS }));
  const others = links
    .filter((link) => link.target >= INPUTS + outputs)
    .map((link) => ({ ...link, source: place(link.source), target: place(link.target) }));
  const codes = [...nodes.slice(0, INPUTS), nodes[node], ...nodes.slice(INPUTS + outputs)];
  return assemble({ outputs: 1, nodes: codes, links: [...others, ...own] });
}

/** A PNG of grey bytes, or of red, green and blue; each pixel as `enlarge` x `enlarge` pixels. */
export async function png(pixels, side, enlarge = 1) {
  const channels = pixels.length / (side * side);
  const width = side * enlarge;
  const raw = new Uint8Array(width * (width * channels + 1));
  for (let y = 0; y < width; y++) {
    const from = Math.floor(y / enlarge) * side * channels;
    const to = y * (width * channels + 1) + 1; // The first byte of a row says: no filter.
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) raw[to + x * channels + c] = pixels[from + Math.floor(x / enlarge) * channels + c];
    }
  }
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, width);
  header.set([8, channels === 3 ? 2 : 0], 8);
  const packed = new Response(new Blob([raw]).stream().pipeThrough(new CompressionStream("deflate")));
  const chunks = [chunk("IHDR", header), chunk("IDAT", new Uint8Array(await packed.arrayBuffer())), chunk("IEND", NOTHING)];
  return join([Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), ...chunks]);
}

function chunk(name, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(4, data.length + 8)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  view.setUint32(data.length + 8, ~crc >>> 0);
  return bytes;
}

export function join(pieces) {
  const bytes = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A tar archive (POSIX ustar) of {name, bytes}. */
export function tar(files) {
  const pieces = files.flatMap(({ name, bytes }) => {
    const header = new Uint8Array(512);
    const put = (text, at) => header.set(new TextEncoder().encode(text), at);
    const octal = (number, digits) => number.toString(8).padStart(digits, "0");
    put(name, 0);
    put(`${octal(0o644, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0${octal(bytes.length, 11)}\0${octal(0, 11)}\0        0`, 100);
    put("ustar\x0000", 257);
    put(`${octal(header.reduce((sum, byte) => sum + byte, 0), 6)}\0 `, 148);
    return [header, bytes, new Uint8Array((512 - (bytes.length % 512)) % 512)];
  });
  return join([...pieces, new Uint8Array(1024)]);
}

/** The run.toml of a run: what was chosen, and for the rest the program's defaults (lenet.json). */
export function runToml(settings, generations, { configs, provenance, labels }) {
  const { rates, ...config } = { ...configs[settings.variant], ...settings, generations, initial: settings.batch };
  // A string or a list of strings has the same form in TOML as in JSON.
  const value = (it) => (typeof it === "object" || typeof it === "string" ? JSON.stringify(it) : `${it}`);
  const table = (name, fields) => [name, ...Object.entries(fields).map(([key, it]) => `${key} = ${value(it)}`), ""].join("\n");
  const cells = labels.map((label, cell) => table("[[cells]]", { class: cell, label }));
  return [table("[config]", config), table("[config.rates]", rates), table("[provenance]", provenance), ...cells].join("\n");
}

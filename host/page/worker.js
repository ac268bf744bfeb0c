// A worker for one of the two tabs: runs the program off the page's thread, and answers messages in order.
import { SIDE, best, loadProgram } from "./fooling.js";

const fetchBytes = async (name) => {
  const answer = await fetch(new URL(name, import.meta.url));
  if (!answer.ok) throw new Error(`${name} cannot be loaded (${answer.status})`);
  return new Uint8Array(await answer.arrayBuffer());
};
let program;

const CANDIDATES = 192;
const actions = {
  async open() {
    program = await loadProgram(fetchBytes);
    return { form: program.form };
  },
  start: ({ settings, provenance }) => program.start(settings, provenance),
  step() {
    const begun = performance.now();
    const { generation, winners } = program.step(SIDE * SIDE);
    return { generation, winners, milliseconds: performance.now() - begun, digest: program.digest() };
  },
  journal: () => program.journal(),
  /** Draws and scores genomes. */
  show: ({ genomes, side, spec }) => genomes.map((genome) => look(genome, side, spec)),
  draw: ({ genome, side, spec }) => program.draw(genome, side, spec),
  /** Sixteen different pictures: random ones, or offspring of the picked parents; if `sure`, the ones with the highest confidence of many. */
  breed({ parents, colour, strength, seed, generation, sure, spec, side }) {
    const found = new Set(parents.map((parent) => program.draw(parent, SIDE, spec).join()));
    const wantedCount = sure ? CANDIDATES : 16;
    const children = [];
    for (let child = 0; children.length < wantedCount && child < 8 * wantedCount; child++) {
      const genome = program.breed(parents[child % parents.length], { colour, strength, seed, generation, child });
      const pixels = program.draw(genome, SIDE, spec);
      // Pictures of one colour, and copies, are left out as long as there are others.
      const plain = pixels.every((byte, i) => byte === pixels[i % (pixels.length / SIDE ** 2)]);
      const name = pixels.join();
      if (child < 6 * wantedCount && (plain || found.has(name))) continue;
      found.add(name);
      children.push({ genome, best: sure ? Math.max(...program.score(genome, spec)) : 0 });
    }
    if (sure) children.sort((a, b) => b.best - a.best);
    return children.slice(0, 16).map(({ genome }) => look(genome, side, spec));
  },
};

function look(genome, side, spec) {
  const { label, score } = best(program.score(genome, spec));
  return { genome, pixels: program.draw(genome, side, spec), label, score };
}

onmessage = async ({ data: { id, action, ...rest } }) => {
  try {
    postMessage({ id, result: await actions[action](rest) });
  } catch (error) {
    postMessage({ id, problem: error.message });
  }
};

// The program that serves the page in place of a worker: `fooling breed` draws and scores, so there is no WebAssembly.
import { fromLine, toLine } from "./fooling.js";

/** Sends a question; the answer is the length of a text, the text in JSON, and the bytes of all pictures. */
async function question(body) {
  let answer;
  try {
    answer = await fetch("ask", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("the program that serves this page does not answer; start it again");
  }
  if (!answer.ok) throw new Error(await answer.text());
  const bytes = await answer.arrayBuffer();
  const length = new DataView(bytes).getUint32(0, true);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  let at = 4 + length;
  for (const picture of told.pictures) {
    picture.pixels = new Uint8Array(bytes, at, picture.length);
    at += picture.length;
  }
  return told;
}

/** A picture as a worker would return it. */
function look({ genome, pixels, names, child }) {
  const [[label, score], ...others] = names ?? [["no valid scores", 0]];
  return { genome: genome && fromLine(genome).bytes, pixels, label, score, others, child };
}

const actions = {
  async show({ genomes, side, spec }) {
    const { pictures } = await question({ action: "show", genomes: genomes.map((genome) => toLine(genome, spec)), side });
    return pictures.map((picture, i) => ({ ...look(picture), genome: genomes[i] }));
  },
  async draw({ genome, side, spec }) {
    return (await question({ action: "draw", genome: toLine(genome, spec), side })).pictures[0].pixels;
  },
  async breed({ parents, strength, seed, generation, sure, side, spec }) {
    const lines = parents.map((parent) => toLine(parent, spec));
    const { pictures } = await question({ action: "breed", parents: lines, strength, seed: String(seed), generation, sure, side });
    return pictures.map(look);
  },
  /** The offspring of a generation of a run: the program records what was picked. */
  async pick({ run, picked, sure, side }) {
    const { pictures, folder } = await question({ action: "pick", run, picked, sure, side });
    return { children: pictures.map(look), folder };
  },
};

/** What the program says of its network, and a function like that of a worker. */
export async function askProgram() {
  const { about } = await question({ action: "about" });
  return { about, ask: (action, rest) => actions[action](rest) };
}

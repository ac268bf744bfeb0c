// The program as WebAssembly against the program, without a browser: digests, journals, genomes, links. Usage: core.mjs PAGE FOOLING WORK
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join as path } from "node:path";
import { pathToFileURL } from "node:url";

const [page, fooling, work] = process.argv.slice(2);
const web = await import(pathToFileURL(path(page, "fooling.js")));
const about = JSON.parse(readFileSync(path(page, "lenet.json")));
const results = { passed: 0, failed: 0 };
async function check(name, test) {
  try {
    await test();
    results.passed++;
    console.log(`passed  ${name}`);
  } catch (error) {
    results.failed++;
    console.log(`FAILED  ${name}: ${error.message}`);
  }
}
function same(got, expected, what) {
  if (got !== expected) throw new Error(`${what}: ${got} is not ${expected}`);
}
const run = (...args) => execFileSync(fooling, args, { cwd: work, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

async function form(name) {
  const { instance } = await WebAssembly.instantiate(readFileSync(path(page, `${name}.wasm`)), {});
  const program = new web.Program(instance.exports, name);
  program.load(readFileSync(path(page, "lenet.bin")));
  return program;
}
const base = { encoding: "cppn", variant: "paper", coordinates: "pixel", seed: 1n, batch: 200 };
const elites = (program, settings, generations) => {
  const cells = [];
  program.start(settings, about.journal);
  for (let generation = 0; generation <= generations; generation++) {
    for (const winner of program.step(web.SIDE ** 2).winners) for (const { cell } of winner.takes) cells[cell] = winner;
  }
  return cells;
};
const programDigest = (settings, generations, name = "page") => {
  const { encoding, variant, coordinates, seed, batch } = settings;
  const out = `${name}-${encoding}-${variant}-${coordinates}-${seed}`;
  const options = ["--encoding", encoding, "--variant", variant, "--coordinates", coordinates, "--seed", `${seed}`, "--batch", `${batch}`, "--initial", `${batch}`];
  return JSON.parse(run("evolve", ...options, "--generations", `${generations}`, "--out", out, "--json")).decisions_digest;
};

for (const name of ["relaxed", "simd", "plain"]) {
  const flags = name === "relaxed" ? "this engine's relaxed multiply-add is fused" : "multiply-add is rounded once";
  await check(`${name}: ${flags}`, async () => same((await form(name)).exports.exact(), 1, "exact"));
  await check(`${name}: 20 generations have the program's digest`, async () => {
    const program = await form(name);
    elites(program, base, 20);
    same(program.digest(), programDigest(base, 20, name), "digest");
  });
}
const fastest = await web.loadProgram(async (name) => readFileSync(path(page, name)));
for (const [what, changed, generations] of [
  ["direct", { encoding: "direct", batch: 50 }, 20],
  ["direct, released, a seed of 64 bits", { encoding: "direct", variant: "released", seed: (1n << 63n) - 1n, batch: 50 }, 10],
  ["unit coordinates", { coordinates: "unit", seed: 7n, batch: 50 }, 10],
]) {
  await check(`${what}: the program's digest`, () => {
    const settings = { ...base, ...changed };
    elites(fastest, settings, generations);
    same(fastest.digest(), programDigest(settings, generations), "digest");
  });
}
for (const [encoding, variant] of [["cppn", "paper"], ["cppn", "released"], ["direct", "paper"], ["direct", "released"]]) {
  await check(`a downloaded run (${encoding}, ${variant}) is accepted by fooling replay, and its pictures are the same`, async () => {
    const [settings, folder] = [{ ...base, encoding, variant, batch: 50 }, `page-run-${encoding}-${variant}`];
    const cells = elites(fastest, settings, 5);
    const files = [
      { name: `${folder}/journal.fool`, bytes: fastest.journal() },
      { name: `${folder}/run.toml`, bytes: new TextEncoder().encode(web.runToml(settings, 5, about)) },
    ];
    for (const [cell, winner] of cells.entries()) {
      files.push({ name: `${folder}/cells/${String(cell).padStart(4, "0")}.png`, bytes: await web.png(winner.picture, web.SIDE) });
    }
    writeFileSync(path(work, "run.tar"), web.tar(files));
    execFileSync("tar", ["xf", "run.tar"], { cwd: work });
    same(JSON.parse(run("replay", folder, "--json")).differences.length, 0, "differences");
    run("show", folder);
  });
}
await check("genomes go to fooling render and give the same bytes", () => {
  for (const [colour, coordinates] of [[0, "unit"], [1, "unit"], [1, "pixel"]]) {
    let genome = null;
    for (let generation = 0; generation < 12; generation++) {
      genome = fastest.breed(genome, { colour, strength: 3, seed: 5n, generation, child: 0 });
    }
    const spec = { coordinates, colour: "rgb" }; // --raw writes bytes before colour conversion.
    writeFileSync(path(work, "genome.jsonl"), `${web.toLine(genome, { coordinates, colour: "hsv" })}\n`);
    run("render", "genome.jsonl", "--raw", "raw.bin");
    same(Buffer.compare(readFileSync(path(work, "raw.bin")), Buffer.from(fastest.draw(genome, web.SIDE, spec))), 0, "comparison");
    const again = web.fromLine(readFileSync(path(work, "genome.jsonl"), "utf8"));
    same(Buffer.compare(Buffer.from(again.bytes), Buffer.from(genome)), 0, "read back");
    const link = web.fromHash(web.toHash(genome, spec));
    same(Buffer.compare(Buffer.from(link.bytes), Buffer.from(genome)), 0, "link");
  }
});
for (const colour of [false, true]) {
  await check(`a saved PNG (${colour ? "colour" : "grey"}) shows the program what the network sees here`, async () => {
    const spec = { coordinates: "unit", colour: "hsv" };
    const genome = fastest.breed(null, { colour, strength: 1, seed: 9n, generation: 0, child: 3 });
    writeFileSync(path(work, "picture.png"), await web.png(fastest.draw(genome, web.SIDE, spec), web.SIDE));
    const [told] = JSON.parse(run("score", "--model", "lenet", "--json", "picture.png"));
    same(Math.fround(told.top[0].confidence), Math.max(...fastest.score(genome, spec)), "the highest score");
  });
}
await check("damaged genomes, files and links are refused with a message", () => {
  const good = fastest.breed(null, { colour: true, strength: 1, seed: 9n, generation: 0, child: 3 });
  const bad = [
    new Uint8Array([1]),
    good.slice(0, -1),
    Uint8Array.from(good, (byte, i) => (i === 6 ? 9 : byte)),
    Uint8Array.from(good, (byte, i) => (i > 12 ? 255 : byte)),
    Uint8Array.from(good, (byte, i) => (i === 0 ? 2 : byte)),
  ];
  const refused = (call, what) => {
    try {
      call();
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) throw new Error(`${what}: a trap`);
      return;
    }
    throw new Error(`${what} was accepted`);
  };
  bad.forEach((bytes, i) => refused(() => fastest.draw(bytes, 28, { coordinates: "unit" }), `genome ${i}`));
  refused(() => fastest.draw(good, 0, { coordinates: "unit" }), "side 0");
  refused(() => fastest.draw(good, 5000, { coordinates: "unit" }), "side 5000");
  for (const text of ["", "{", "null", "[]", "{\"nodes\":[],\"connections\":[{}]}", "\u0000", `{"nodes":[${"{},".repeat(600)}{}],"connections":[]}`]) {
    refused(() => web.fromLine(text), text.slice(0, 20));
  }
  for (const hash of ["#g=", "#g=1.unit.hsv", "#g=2.unit.hsv.AAAA", "#g=1.unit.hsv.<script>", `#g=1.unit.hsv.${"A".repeat(20000)}`]) {
    refused(() => fastest.draw(web.fromHash(hash).bytes, 28, { coordinates: "unit" }), hash.slice(0, 20));
  }
});
console.log(`${results.passed} of ${results.passed + results.failed} checks without a browser`);
process.exit(results.failed ? 1 : 0);

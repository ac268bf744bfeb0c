// Watch: a run against the built-in network, live.
import { SIDE, png, runToml, tar, toHash } from "./fooling.js";
import { element, find, graph, paint, percent, say, save, sequence, startWorker } from "./view.js";

export async function openWatch() {
  const ask = startWorker();
  const [about] = await Promise.all([fetch("lenet.json").then((answer) => answer.json()), ask("open")]);
  let run;
  let playing = true;
  let visible = true;

  // Actions run in the order of the clicks, one at a time, so that none is lost while the worker computes.
  const inOrder = sequence();
  const guard = (action) => () =>
    inOrder(action).catch((error) => {
      setPlaying(false);
      say(error.message);
    });
  const takeStep = guard(step);
  const cells = about.labels.map((label, cell) => makeCell(label, guard(() => showCell(cell))));
  find("cells").replaceChildren(...cells.map(({ button }) => button));

  function readSettings() {
    const value = (id) => find(id).value;
    if (!/^[0-9]{1,19}$/.test(value("seed")) || BigInt(value("seed")) > (1n << 63n) - 1n) throw new Error("A seed is a whole number below 2^63.");
    return { encoding: value("encoding"), variant: value("variant"), coordinates: value("coordinates"), seed: BigInt(value("seed")), batch: 200 };
  }

  async function restart() {
    let settings;
    try {
      settings = readSettings();
    } catch (error) {
      return say(error.message);
    }
    say("");
    run = { settings, elites: [], known: new Map(), curve: [], generation: -1, milliseconds: 0, digest: "" };
    cells.forEach(clearCell);
    find("generation").textContent = "";
    await ask("start", { settings, provenance: about.journal });
    await step();
  }

  async function step() {
    if (!run) return; // The settings are not valid yet.
    const { generation, winners, milliseconds, digest } = await ask("step");
    Object.assign(run, { generation, digest, milliseconds: run.milliseconds + milliseconds });
    for (const winner of winners) {
      run.known.set(winner.id, winner);
      for (const { cell, score } of winner.takes) run.elites[cell] = { ...winner, score };
    }
    const scores = cells.map((_, cell) => run.elites[cell]?.score ?? 0).sort((a, b) => a - b);
    run.curve.push([scores[0], (scores[4] + scores[5]) / 2, scores[9]]);
    draw(new Set(winners.flatMap(({ takes }) => takes.map(({ cell }) => cell))));
  }

  function draw(changed) {
    for (const cell of changed) fillCell(cells[cell], run.elites[cell]);
    const pictures = (run.generation + 1) * run.settings.batch;
    find("generation").textContent = run.generation;
    find("pictures").textContent = pictures.toLocaleString("en");
    find("rate").textContent = Math.round((1000 * pictures) / run.milliseconds).toLocaleString("en");
    find("median").textContent = percent(run.curve.at(-1)[1]);
    find("digest").textContent = run.digest;
    drawCurve(run.curve);
  }

  // Steps follow each other with a pause between them, in which the page handles events.
  async function loop() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, Number(find("speed").value)));
      if (playing && run && visible && !document.hidden && !find("detail").open) await takeStep();
      else await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }

  function setPlaying(now) {
    playing = now;
    find("play").textContent = now ? "Pause" : "Play";
  }

  async function showCell(cell) {
    const elite = run?.elites[cell];
    if (!elite) return;
    const ancestors = [];
    for (let one = elite; one; one = run.known.get(one.parent)) ancestors.unshift(one);
    const most = 24;
    const shown = ancestors.length <= most ? ancestors : Array.from({ length: most }, (_, i) => ancestors[Math.floor((i * (ancestors.length - 1)) / (most - 1))]);
    const film = element("div", { className: "film", tabIndex: 0, ariaLabel: "Ancestors, oldest first" });
    for (const one of shown) {
      film.append(element("figure", {}, paint(element("canvas"), one.picture), element("figcaption", {}, `generation ${one.id.split(".")[0]}`)));
    }
    find("detail-title").textContent = `${about.labels[cell]}: ${percent(elite.score)}, a lineage of ${ancestors.length}`;
    find("detail-body").replaceChildren(film);
    if (elite.genome) {
      const spec = { coordinates: run.settings.coordinates };
      find("detail-body").append(element("h2", {}, "Its genome"), await graph(ask, elite.genome, spec));
      const breed = element("button", { textContent: "Breed from it" });
      breed.onclick = () => {
        find("detail").close();
        location.hash = toHash(elite.genome, spec);
      };
      find("detail-body").append(element("div", { className: "bar" }, breed));
    } else {
      find("detail-body").append(element("p", { textContent: "With the direct encoding, the picture is the genome: one gene for each pixel." }));
    }
    find("detail").showModal();
  }

  async function saveRun() {
    if (!run) return;
    const { settings, generation, elites } = run;
    const name = `lenet-${settings.encoding}-${settings.seed}`;
    const journal = await ask("journal");
    const files = [
      { name: `${name}/run.toml`, bytes: new TextEncoder().encode(runToml(settings, generation, about)) },
      { name: `${name}/journal.fool`, bytes: journal },
    ];
    for (const [cell, elite] of elites.entries()) {
      if (elite) files.push({ name: `${name}/cells/${String(cell).padStart(4, "0")}.png`, bytes: await png(elite.picture, SIDE) });
    }
    save(`${name}.tar`, tar(files), "application/x-tar");
  }

  find("play").onclick = () => setPlaying(!playing);
  find("step").onclick = () => {
    setPlaying(false);
    return takeStep();
  };
  find("restart").onclick = find("settings").onchange = guard(restart);
  find("settings").onsubmit = (event) => event.preventDefault();
  find("save-run").onclick = guard(saveRun);
  await guard(restart)();
  loop();
  return { show: () => (visible = true), hide: () => (visible = false) };
}

function makeCell(label, action) {
  const canvas = element("canvas", { width: SIDE, height: SIDE });
  const [score, meter] = [element("span", { textContent: "empty" }), element("div", { className: "meter" })];
  const button = element("button", { className: "cell" }, canvas, meter, element("div", { className: "label" }, element("b", { textContent: label }), score));
  button.onclick = action;
  return { button, canvas, score, meter, label };
}

function clearCell({ canvas, score, meter }) {
  canvas.width = canvas.height = SIDE;
  score.textContent = "empty";
  meter.style.width = "0";
}

function fillCell({ button, canvas, score, meter, label }, elite) {
  paint(canvas, elite.picture);
  score.textContent = percent(elite.score);
  meter.style.width = `${100 * elite.score}%`;
  button.setAttribute("aria-label", `Digit ${label}, confidence ${percent(elite.score)}: show its ancestors`);
}

function drawCurve(curve) {
  const canvas = find("curve");
  const context = canvas.getContext("2d");
  [canvas.width, canvas.height] = [2 * canvas.clientWidth, 2 * canvas.clientHeight];
  const [left, bottom, right, top] = [90, canvas.height - 40, canvas.width - 8, 16];
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`);
  const x = (i) => left + (i / Math.max(10, curve.length - 1)) * (right - left);
  const y = (score) => bottom - score * (bottom - top);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.font = "24px system-ui, sans-serif";
  context.fillStyle = colour("soft");
  context.strokeStyle = colour("line");
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const score of [0, 0.5, 1]) {
    context.fillText(`${100 * score} %`, left - 8, y(score));
    context.beginPath();
    context.moveTo(left, y(score));
    context.lineTo(right, y(score));
    context.stroke();
  }
  context.textBaseline = "alphabetic";
  context.fillText(`generation ${Math.max(10, curve.length - 1)}`, right, canvas.height - 6);
  context.fillStyle = colour("wash");
  context.beginPath();
  curve.forEach(([low], i) => context.lineTo(x(i), y(low)));
  curve.map((point, i) => [point, i]).reverse().forEach(([[, , high], i]) => context.lineTo(x(i), y(high)));
  context.fill();
  context.strokeStyle = colour("accent");
  context.lineWidth = 3;
  context.beginPath();
  curve.forEach(([, median], i) => context.lineTo(x(i), y(median)));
  context.stroke();
  canvas.setAttribute("aria-label", `Confidence over ${curve.length} generations; the median is ${percent(curve.at(-1)[1])}`);
}

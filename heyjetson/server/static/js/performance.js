// The page Performance: starting runs, watching them, looking at what they found.

import { alignment, legend } from "./alignment.js";
import { ask, askJSON, audioURL, byId, clock, element, guarded, sendJSON, tell } from "./api.js";
import { engineChoice } from "./engines.js";
import { drawPlots, seconds } from "./performance-plots.js";
import { onColours } from "./plots.js";

const PAGE = 25;
const STATES = { waiting: "waits", running: "running", done: "done", cancelled: "cancelled", interrupted: "interrupted", failed: "failed" };
let runs = [];
let chosen = Number(location.hash.slice(1)) || null;
let report = null;
let offset = 0;
let timer = 0;

const active = (run) => run.state === "running" || run.state === "waiting";
const percent = (rate) => `${(rate * 100).toFixed(1)} %`;
const when = (run) => new Date(run.created * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

function duration(value) {
  if (value < 90) return `${Math.ceil(value)} s`;
  return value < 5400 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

async function look() {
  clearTimeout(timer);
  try {
    runs = await askJSON("/v1/performance");
    drawRuns();
    if (chosen && !runs.some((run) => run.id === chosen)) choose(null);
    if (chosen) await lookAtRun();
  } catch (error) { tell(error.message); }
  const waits = runs.some(active);
  clearTimeout(timer);
  if (waits) timer = setTimeout(look, document.hidden ? 5000 : 1000);
}

async function lookAtRun() {
  const run = runs.find((one) => one.id === chosen);
  const same = report && report.id === run.id && report.state === run.state && report.progress.done === run.progress.done;
  if (same) return;
  const before = report;
  const fresh = await askJSON(`/v1/performance/${chosen}`);
  if (fresh.id !== chosen) return;
  report = fresh;
  drawReport(before?.id !== fresh.id);
  await drawList();
  await drawPlots(fresh);
}

function drawRuns() {
  byId("no-runs").hidden = runs.length > 0;
  const focused = document.activeElement?.dataset?.run;
  byId("runs").replaceChildren(...runs.map((run) => {
    const going = run.state === "running";
    const share = run.progress.total ? Math.round((100 * run.progress.done) / run.progress.total) : 0;
    const results = run.engines.map((engine) => `${engine.name} ${engine.wer == null ? "–" : percent(engine.wer)}`).join(" · ");
    return element("li", {}, element("button", {
      type: "button", "data-run": run.id, "aria-current": run.id === chosen ? "true" : null, onclick: guarded(async () => { choose(run.id); await look(); }),
    },
    element("span", { class: "what" }, `${run.dataset}, ${run.utterances} utterances`),
    element("span", { class: `state ${run.state}` }, going ? `${share} %` : STATES[run.state]),
    element("span", { class: "quiet results" }, results),
    element("span", { class: "quiet when" }, when(run))));
  }));
  if (focused) byId("runs").querySelector(`[data-run="${focused}"]`)?.focus();
}

function choose(id) {
  if (chosen !== id) { offset = 0; report = null; stopPlayer(); }
  chosen = id;
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  byId("run").hidden = !id;
}

function withInterval(figure, show) {
  if (!figure) return ["–"];
  const interval = figure.low === figure.high ? "" : `${show(figure.low)} – ${show(figure.high)}`;
  return [element("span", { class: "value" }, show(figure.value)), element("span", { class: "interval" }, interval)];
}

function drawReport(isNew) {
  const run = report;
  const one = run.engines.length === 1;
  byId("run").hidden = false;
  byId("run-title").textContent = `${run.dataset}: ${run.utterances} utterances, ${clock(run.seconds)} of speech`;
  const told = {
    running: `Running since ${when(run)}.`, waiting: "Waits until the run before it is done.", done: `Done: it took ${duration(run.worked)}.`,
    cancelled: "Cancelled: what it had found is kept.", interrupted: "Interrupted: the server ended while it ran. Continue it where it was.", failed: run.message,
  }[run.state];
  if (byId("state").textContent !== told) byId("state").textContent = told;
  const failed = run.engines.reduce((sum, engine) => sum + engine.failed, 0);
  byId("cancel").hidden = !active(run);
  byId("delete").hidden = active(run);
  byId("continue").hidden = active(run) || (run.state === "done" && !failed);
  byId("continue").textContent = run.state === "done" ? "Try failed ones again" : "Continue";
  byId("going").hidden = run.state !== "running";
  byId("progress").max = run.progress.total || 1;
  byId("progress").value = run.progress.done;
  const left = run.progress.left_seconds;
  byId("left").textContent = `${run.progress.done} of ${run.progress.total}${left == null ? "" : `, about ${duration(left)} left`}`;
  byId("problems").replaceChildren(...run.engines.filter((engine) => engine.message).map((engine) => element("li", {}, `${engine.name}: ${engine.message}`)));
  byId("figures").tBodies[0].replaceChildren(...run.engines.map((engine) => element("tr", {},
    element("th", { scope: "row" }, engine.name),
    element("td", { class: "number" }, ...withInterval(engine.wer?.value == null ? null : engine.wer, percent)),
    element("td", { class: "number" }, ...withInterval(engine.cer, percent)),
    element("td", { class: "number" }, ...withInterval(engine.cosine, (value) => value.toFixed(3))),
    element("td", { class: "number" }, engine.latency ? seconds(engine.latency.p50) : "–"),
    element("td", { class: "number" }, engine.latency ? seconds(engine.latency.p95) : "–"),
    element("td", { class: "number" }, engine.real_time_factor == null ? "–" : engine.real_time_factor.toPrecision(2)),
    element("td", { class: "number" }, String(engine.done), engine.failed ? element("span", { class: "interval error" }, `${engine.failed} failed`) : null))));
  byId("pair").hidden = one;
  if (isNew) {
    for (const id of ["first", "second", "by"]) byId(id).replaceChildren(...run.engines.map((engine) => element("option", {}, engine.name)));
    byId("second").selectedIndex = one ? 0 : 1;
    byId("by").parentElement.hidden = one;
  }
  drawVerdict();
}

function drawVerdict() {
  const [first, second] = [byId("first").value, byId("second").value];
  const straight = report.differences.find((pair) => pair.first === first && pair.second === second);
  const turned = report.differences.find((pair) => pair.first === second && pair.second === first);
  let told = first === second ? "Choose two engines." : "Nothing that both have finished yet.";
  if (straight || turned) {
    const pair = straight || turned;
    const sign = straight ? 1 : -1;
    const [low, high] = [sign * pair.wer.low, sign * pair.wer.high].sort((a, b) => a - b);
    const value = sign * pair.wer.value;
    const [better, worse] = straight ? [pair.better, pair.worse] : [pair.worse, pair.better];
    const points = (rate) => `${rate > 0 ? "+" : rate < 0 ? "−" : ""}${Math.abs(rate * 100).toFixed(1)}`;
    const which = value === 0 ? "the same WER as" : `${Math.abs(value * 100).toFixed(1)} points ${value < 0 ? "lower" : "higher"} WER than`;
    told = `${first} has ${which} ${second} (95 % interval ${points(low)} to ${points(high)}) on ${pair.utterances} utterances: better in ${better}, worse in ${worse}, alike in ${pair.equal}. `
      + (pair.chance ? "This may be chance." : "This is more than chance.");
  }
  if (byId("verdict").textContent !== told) byId("verdict").textContent = told;
}

async function drawList() {
  if (!report) return;
  const [sort, order] = byId("sort").value.split(" ");
  const asked = new URLSearchParams({ engine: byId("by").value, sort, order, shown: byId("shown").value, search: byId("search").value, offset, limit: PAGE });
  const { id, dataset } = report;
  const page = await askJSON(`/v1/performance/${id}/utterances?${asked}`);
  if (report?.id !== id) return;
  if (offset && offset >= page.total) { offset = 0; await drawList(); return; }
  const focused = document.activeElement?.dataset?.play;
  byId("utterances").replaceChildren(...page.utterances.map((one) => row(one, dataset)));
  if (focused) byId("utterances").querySelector(`[data-play="${focused}"]`)?.focus();
  byId("found").textContent = page.total ? `${offset + 1}–${offset + page.utterances.length} of ${page.total}` : "None.";
  byId("back").disabled = offset === 0;
  byId("forward").disabled = offset + PAGE >= page.total;
}

function row(one, dataset) {
  const about = [`No. ${one.index}`, `${one.seconds.toFixed(1)} s`, one.speaker].filter(Boolean).join(", ");
  const results = report.engines.map((engine) => {
    const result = one.results[engine.name];
    const line = element("div", { class: "result" });
    if (report.engines.length > 1) line.append(element("span", { class: "name" }, engine.name));
    if (!result) line.append(element("span", { class: "quiet" }, engine.message ? "not tried" : "not yet"));
    else if (result.error) line.append(element("span", { class: "error" }, result.error));
    else {
      const text = element("span", { class: "text" });
      alignment(text, result.alignment);
      line.append(text, element("span", { class: "numbers quiet" }, `${percent(result.wer)}, ${seconds(result.seconds)}`));
    }
    return line;
  });
  const play = element("button", { type: "button", "data-play": one.index, "aria-label": `Play utterance ${one.index}`, onclick: guarded(() => start(one, dataset)) }, "▶");
  return element("li", {}, play, element("div", {}, element("div", { class: "truth" }, one.reference || "(nothing)"), ...results, element("div", { class: "quiet about" }, about)));
}

function stopPlayer() {
  const player = byId("player");
  player.pause();
  if (player.src) URL.revokeObjectURL(player.src);
  player.removeAttribute("src");
  byId("player-row").hidden = true;
}

async function start(one, dataset) {
  const url = await audioURL(`/v1/dataset/${encodeURIComponent(dataset)}/${one.index}/audio`);
  stopPlayer();
  byId("player-row").hidden = false;
  byId("playing").textContent = `No. ${one.index}: ${one.reference}`;
  byId("player").src = url;
  await byId("player").play();
}

async function save(ending) {
  const url = URL.createObjectURL(await (await ask(`/v1/performance/${chosen}.${ending}`)).blob());
  element("a", { href: url, download: `performance-${chosen}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function remove() {
  const wasActive = active(report);
  if (!wasActive && !confirm("Delete this run and all of its results?")) return;
  await ask(`/v1/performance/${chosen}`, { method: "DELETE" });
  if (!wasActive) choose(null);
  await look();
}

const datasets = await askJSON("/v1/dataset").catch((error) => { tell(error.message); return []; });
byId("dataset").append(...datasets.map((one) => element("option", { value: one.name }, `${one.name} (${one.utterances} utterances, ${clock(one.seconds)})`)));
byId("no-data").hidden = datasets.length > 0;
byId("new").hidden = !datasets.length;
const engines = await engineChoice(byId("engines"), (engine) => engine.kind === "model").catch((error) => { tell(error.message); return () => ["model"]; });

byId("new").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(async () => {
    if (!engines().length) throw new Error("Choose at least one engine.");
    const { id } = await sendJSON("/v1/performance", { dataset: byId("dataset").value, engines: engines(), limit: Number(byId("limit").value) || null });
    choose(id);
    await look();
    byId("run-title").focus();
  })();
});
byId("cancel").addEventListener("click", guarded(remove));
byId("delete").addEventListener("click", guarded(remove));
byId("continue").addEventListener("click", guarded(async () => { await ask(`/v1/performance/${chosen}/continue`, { method: "POST" }); await look(); }));
byId("csv").addEventListener("click", guarded(() => save("csv")));
byId("json").addEventListener("click", guarded(() => save("json")));
for (const id of ["first", "second"]) byId(id).addEventListener("change", drawVerdict);
for (const id of ["sort", "by", "shown"]) byId(id).addEventListener("change", guarded(async () => { offset = 0; await drawList(); }));
let typing;
byId("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(guarded(async () => { offset = 0; await drawList(); }), 250); });
byId("view").addEventListener("submit", (event) => event.preventDefault());
byId("back").addEventListener("click", guarded(async () => { offset = Math.max(offset - PAGE, 0); await drawList(); }));
byId("forward").addEventListener("click", guarded(async () => { offset += PAGE; await drawList(); }));
addEventListener("hashchange", guarded(async () => { choose(Number(location.hash.slice(1)) || null); await look(); }));
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
onColours(guarded(async () => { if (report) await drawPlots(report); }));
byId("legend").append(legend());
await look();

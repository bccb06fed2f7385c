// The page Performance: starting runs, watching them, taking them away.

import { legend } from "./alignment.js";
import { ask, askBlob, askJSON, byId, download, element, guarded, inPlace, latest, press, sendJSON, tell } from "./api.js";
import { engineChoice } from "./engines.js";
import { clock, percent } from "./format.js";
import { drawList } from "./performance-list.js";
import { drawPlots } from "./performance-plots.js";
import { active, drawReport, when } from "./performance-report.js";
import { onColours } from "./plots.js";

const STATES = { waiting: "waits", running: "running", done: "done", cancelled: "cancelled", interrupted: "interrupted", failed: "failed" };
const CALM = 5000; // milliseconds between two drawings of what a running run found: its progress is shown more often
const LONGEST = 30; // seconds between two tries where the server does not answer
let runs = [];
let chosen = Number(location.hash.slice(1)) || null;
let report = null;
let detailed = { at: 0, report: null }; // what list and charts were drawn of, and when
let timer = 0;
let failures = 0;
let told = "";

/** Ask how things are, draw it, and come again while a run is on its way. */
const look = latest(async (signal) => {
  clearTimeout(timer);
  timer = 0;
  let wait = 0;
  try {
    runs = await askJSON("/v1/performance", { signal });
    if (chosen && !runs.some((run) => run.id === chosen)) choose(null);
    drawRuns();
    if (chosen) await lookAtRun(signal);
    failures = 0;
    told = "";
    if (runs.some(active)) wait = document.hidden ? 5 : 1;
  } catch (error) {
    if (signal.aborted) return;
    if (error.message !== told) tell(error.message);
    told = error.message;
    if (error.status !== 401) wait = Math.min(2 ** failures, LONGEST); // without a key there is nothing to come for
    failures += 1;
  }
  if (wait && !signal.aborted) timer = setTimeout(look, wait * 1000);
});

async function lookAtRun(signal) {
  const run = runs.find((one) => one.id === chosen);
  const same = (one) => one && one.id === run.id && one.state === run.state && one.progress.done === run.progress.done;
  if (!same(report)) {
    report = await askJSON(`/v1/performance/${chosen}`, { signal });
    drawReport(report);
  }
  if (same(detailed.report)) return;
  const goesOn = detailed.report?.id === report.id && active(report);
  if (goesOn && performance.now() - detailed.at < CALM) return;
  detailed = { at: performance.now(), report };
  await drawList(report).catch((error) => { if (error.name !== "AbortError") throw error; }); // its page was turned meanwhile
  await drawPlots(report);
}

function drawRuns() {
  byId("no-runs").hidden = runs.length > 0;
  inPlace(byId("runs"), runs, { key: (run) => run.id, make: emptyRun, fill: fillRun });
  for (const item of byId("runs").children) {
    const button = item.firstElementChild;
    if (Number(item.dataset.key) === chosen) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
  }
}

function emptyRun() {
  const item = element("li", {}, element("button", { type: "button", onclick: guarded(() => { choose(Number(item.dataset.key)); return look(); }) }));
  return item;
}

function fillRun(item, run) {
  const share = run.progress.total ? run.progress.done / run.progress.total : 0;
  const results = run.engines.map((engine) => `${engine.name} ${engine.wer == null ? "–" : percent(engine.wer)}`).join(" · ");
  item.firstElementChild.replaceChildren(
    element("span", { class: "what" }, `${run.dataset}, ${run.utterances} utterances`),
    element("span", { class: `state ${run.state}` }, run.state === "running" ? percent(share, 0) : STATES[run.state]),
    element("span", { class: "quiet results" }, `WER: ${results}`),
    element("span", { class: "quiet when" }, when(run)));
}

function choose(id) {
  if (chosen !== id) report = null;
  chosen = id;
  if (!id) drawList(null);
  history.replaceState(null, "", id ? `#${id}` : location.pathname);
  byId("run").hidden = !id;
}

/** Do something to the run that is shown, and see what became of it. */
async function change(path, method, heading) {
  if (!report) return;
  try { await ask(`/v1/performance/${report.id}${path}`, { method }); } finally { await look(); }
  byId(heading).focus({ preventScroll: true }); // the button has gone
}

const datasets = await askJSON("/v1/dataset").catch((error) => { tell(error.message); return null; });
byId("dataset").append(...(datasets || []).map((one) => element("option", { value: one.name }, `${one.name} (${one.utterances} utterances, ${clock(one.seconds)})`)));
byId("no-data").hidden = datasets?.length !== 0;
byId("new").hidden = !datasets?.length;
const engines = await engineChoice(byId("engines"), (engine) => engine.kind === "model").catch((error) => { tell(error.message); return () => ["model"]; });

byId("new").addEventListener("submit", (event) => event.preventDefault());
byId("new").addEventListener("submit", guarded(async () => {
  if (!engines().length) throw new Error("Choose at least one engine.");
  const { id } = await sendJSON("/v1/performance", { dataset: byId("dataset").value, engines: engines(), limit: Number(byId("limit").value) || null });
  choose(id);
  await look();
  byId("run-title").focus();
}));
press(byId("cancel"), () => change("/cancel", "POST", "run-title"));
press(byId("continue"), () => change("/continue", "POST", "run-title"));
press(byId("delete"), async () => { if (confirm("Delete this run and all of its results?")) await change("", "DELETE", "runs-title"); });
for (const ending of ["csv", "json"]) {
  press(byId(ending), async () => download(`performance-${chosen}.${ending}`, await askBlob(`/v1/performance/${chosen}.${ending}`)));
}
addEventListener("hashchange", guarded(() => { choose(Number(location.hash.slice(1)) || null); return look(); }));
document.addEventListener("visibilitychange", () => { if (!document.hidden && timer) look(); });
onColours(guarded(async () => { if (report) await drawPlots(report); }));
byId("legend").append(legend());
await look();

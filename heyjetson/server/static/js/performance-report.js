// The figures of a run, of each engine and of each pair of them.

import { byId, element, inPlace } from "./api.js";
import { clock, percent, seconds } from "./format.js";

export const active = (run) => run.state === "running" || run.state === "waiting";
export const when = (run) => new Date(run.created * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
let report = null;

function duration(value) {
  if (value < 90) return `${Math.ceil(value)} s`;
  return value < 5400 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

function tell(node, text) { if (node.textContent !== text) node.textContent = text; } // a reader says what is written anew

function withInterval(figure, show) {
  if (figure?.value == null) return ["–"];
  const interval = figure.low === figure.high ? "" : `${show(figure.low)} – ${show(figure.high)}`;
  return [element("span", { class: "value" }, show(figure.value)), element("span", { class: "interval" }, interval)];
}

function fillEngine(row, engine) {
  const cells = [
    withInterval(engine.wer, percent), withInterval(engine.cer, percent), withInterval(engine.cosine, (value) => value.toFixed(3)),
    [engine.latency ? seconds(engine.latency.p50) : "–"], [engine.latency ? seconds(engine.latency.p95) : "–"],
    [engine.real_time_factor == null ? "–" : engine.real_time_factor.toPrecision(2)],
    [String(engine.done), engine.failed ? element("span", { class: "interval error" }, `${engine.failed} failed`) : null],
  ];
  row.replaceChildren(element("th", { scope: "row" }, engine.name), ...cells.map((cell) => element("td", { class: "number" }, ...cell)));
}

/** Show a report of /v1/performance/{id}. */
export function drawReport(run) {
  const isNew = report?.id !== run.id;
  report = run;
  const one = run.engines.length === 1;
  byId("run").hidden = false;
  tell(byId("run-title"), `${run.dataset}: ${run.utterances} utterances, ${clock(run.seconds)} of speech`);
  tell(byId("state"), {
    running: `Running since ${when(run)}.`, waiting: "Waits until the run before it is done.", done: `Done: it took ${duration(run.worked)}.`,
    cancelled: "Cancelled: what it had found is kept.", interrupted: "Interrupted: the server ended while it ran. Continue it where it was.", failed: run.message,
  }[run.state]);
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
  const problems = run.engines.filter((engine) => engine.message);
  inPlace(byId("problems"), problems, { key: (engine) => engine.name, make: () => element("li"), fill: (node, engine) => { node.textContent = `${engine.name}: ${engine.message}`; } });
  inPlace(byId("figures").tBodies[0], run.engines, { key: (engine) => engine.name, make: () => element("tr"), fill: fillEngine });
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
  tell(byId("verdict"), told);
}

for (const id of ["first", "second"]) byId(id).addEventListener("change", drawVerdict);

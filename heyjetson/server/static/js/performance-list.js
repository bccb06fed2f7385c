// The utterances of a run: sorted, chosen, searched, played.

import { alignment } from "./alignment.js";
import { askBlob, askJSON, byId, element, guarded, inPlace, latest, typed } from "./api.js";
import { percent, seconds } from "./format.js";

const PAGE = 25;
let report = null;
let offset = 0;

/** Draw the page of the list that is chosen, of a run's report. */
export const drawList = latest(async (signal, run = report) => {
  if (run?.id !== report?.id) { offset = 0; stopPlayer(); }
  report = run;
  if (!run) return;
  const [sort, order] = byId("sort").value.split(" ");
  const asked = new URLSearchParams({ engine: byId("by").value, sort, order, shown: byId("shown").value, search: byId("search").value, offset, limit: PAGE });
  const page = await askJSON(`/v1/performance/${run.id}/utterances?${asked}`, { signal });
  if (offset && offset >= page.total) { offset = 0; await drawList(); return; }
  const engines = run.engines.map(({ name, message }) => ({ name, message }));
  const items = page.utterances.map((one) => ({ ...one, engines, dataset: run.dataset, run: run.id, playable: run.playable }));
  inPlace(byId("utterances"), items, { key: (one) => `${one.run}-${one.index}`, make: emptyRow, fill: fillRow });
  byId("found").textContent = page.total ? `${offset + 1}–${offset + page.utterances.length} of ${page.total}` : "None.";
  byId("back").disabled = offset === 0;
  byId("forward").disabled = offset + PAGE >= page.total;
});

function emptyRow() {
  const row = element("li", {}, element("button", { type: "button", onclick: guarded(() => play(row.utterance)) }, "▶"), element("div"));
  return row;
}

function fillRow(row, one) {
  row.utterance = one;
  const [button, body] = row.children;
  button.setAttribute("aria-label", `Play utterance ${one.index}`);
  button.hidden = !one.playable; // another data set of its name would play something else
  const about = [`No. ${one.index}`, `${one.seconds.toFixed(1)} s`, one.speaker].filter(Boolean).join(", ");
  body.replaceChildren(element("div", { class: "truth" }, one.reference || "(nothing)"), ...one.engines.map((engine) => outcome(engine, one)),
    element("div", { class: "quiet about" }, about));
}

function outcome(engine, one) {
  const result = one.results[engine.name];
  const line = element("div", { class: "result" }, one.engines.length > 1 ? element("span", { class: "name" }, engine.name) : null);
  if (!result) line.append(element("span", { class: "quiet" }, engine.message ? "not tried" : "not yet"));
  else if (result.error) line.append(element("span", { class: "error" }, result.error));
  else {
    const text = element("span", { class: "text" });
    alignment(text, result.alignment);
    const numbers = [`WER ${percent(result.wer)}`, `CER ${percent(result.cer)}`, `cosine ${result.cosine.toFixed(2)}`, `took ${seconds(result.seconds)}`];
    line.append(text, element("span", { class: "numbers quiet" }, ...numbers.map((number) => element("span", {}, number))));
  }
  return line;
}

function stopPlayer() {
  const player = byId("player");
  player.pause();
  if (player.src) URL.revokeObjectURL(player.src);
  player.removeAttribute("src");
  byId("player-row").hidden = true;
}

const play = latest(async (signal, one) => {
  const sound = await askBlob(`/v1/dataset/${encodeURIComponent(one.dataset)}/${one.index}/audio`, { signal });
  stopPlayer();
  byId("player-row").hidden = false;
  byId("playing").textContent = `No. ${one.index}: ${one.reference}`;
  byId("player").src = URL.createObjectURL(sound);
  await byId("player").play();
});

const from = (place) => guarded(() => { offset = Math.max(place(), 0); return drawList(); });
for (const id of ["sort", "by", "shown"]) byId(id).addEventListener("change", from(() => 0));
typed(byId("search"), from(() => 0));
byId("back").addEventListener("click", from(() => offset - PAGE));
byId("forward").addEventListener("click", from(() => offset + PAGE));

// Explore: choose an utterance or a file, and look at it.

import { alignment, legend } from "./alignment.js";
import { askBlob, askJSON, byId, element, figure, guarded, latest, typed } from "./api.js";
import { follow } from "./cursor.js";
import { draw } from "./explore-plots.js";
import { percent } from "./format.js";
import { onColours } from "./plots.js";

const PAGE = 50;
const state = { name: "", offset: 0, total: 0, index: null, seen: null, url: "" };
const address = (name, index = "") => `/v1/dataset/${encodeURIComponent(name)}${index === "" ? "" : `/${index}`}`;

// -- the list ---------------------------------------------------------------------------------------------------------

const list = latest(async (signal) => {
  const query = new URLSearchParams({ offset: state.offset, limit: PAGE, search: byId("search").value });
  const page = await askJSON(`${address(state.name)}?${query}`, { signal });
  state.total = page.total;
  byId("list").tBodies[0].replaceChildren(...page.utterances.map(row));
  const last = state.offset + page.utterances.length;
  byId("found").textContent = page.total ? `${state.offset + 1} to ${last} of ${page.total}` : "No utterance has these words.";
  byId("back").disabled = state.offset === 0;
  byId("forward").disabled = last >= page.total;
  mark();
});

function row({ index, text, seconds, speaker }) {
  const open = element("button", { type: "button", onclick: guarded(async () => { await show(index); byId("title").focus({ preventScroll: true }); }) }, text || "(no text)");
  return element("tr", { "data-index": index }, element("td", { class: "number" }, String(index)), element("td", {}, open),
    element("td", { class: "number" }, seconds.toFixed(2)), element("td", {}, speaker || ""));
}

function mark() {
  for (const one of byId("list").tBodies[0].rows) {
    if (Number(one.dataset.index) === state.index) one.setAttribute("aria-current", "true"); else one.removeAttribute("aria-current");
  }
}

async function turn(pages) {
  const offset = state.offset + pages * PAGE;
  if (offset < 0 || offset >= state.total) return;
  state.offset = offset;
  await list();
}

// Arrows go from one utterance to the next, page keys from page to page.
async function keys(event) {
  const buttons = [...byId("list").querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const pages = { PageDown: 1, PageUp: -1 }[event.key];
  if (at < 0 || !(move || pages)) return;
  event.preventDefault();
  if (move) buttons[at + move]?.focus();
  else {
    await turn(pages);
    byId("list").querySelector("button")?.focus();
  }
}

// -- one recording ------------------------------------------------------------------------------------------------------

// `sound(signal)` gives a Blob. Of two that are asked for the later one is shown, whichever is answered first.
const look = latest(async (signal, title, path, options, sound) => {
  byId("busy").textContent = "Listening to it …";
  try {
    const [seen, blob] = await Promise.all([askJSON(path, { ...options, signal }), sound(signal)]);
    signal.throwIfAborted();
    if (state.url) URL.revokeObjectURL(state.url);
    state.url = URL.createObjectURL(blob);
    byId("player").src = state.url;
    byId("title").textContent = title;
    state.seen = seen;
    byId("shown").hidden = false;
    describe(seen);
    if (matchMedia("(max-width: 40rem)").matches) byId("title").scrollIntoView();
    await draw(byId("plots"), seen, byId("player"));
  } finally {
    if (!signal.aborted) byId("busy").textContent = "";
  }
});

/** Which utterance of the data set is shown, if any: there are others before and after it. */
function at(index) {
  state.index = index;
  mark();
  byId("steps").hidden = index === null;
  if (index === null) return;
  byId("previous").disabled = index <= 0;
  byId("next").disabled = index + 1 >= Number(byId("dataset").selectedOptions[0].dataset.utterances);
}

async function show(index) {
  at(index);
  history.replaceState(null, "", `?${new URLSearchParams({ data: state.name, index })}`);
  const path = address(state.name, index);
  await look(`${state.name}, number ${index}`, `${path}/views`, {}, (signal) => askBlob(`${path}/audio`, { signal }));
}

async function upload(file) {
  at(null);
  history.replaceState(null, "", location.pathname);
  const body = new FormData();
  body.append("file", file);
  await look(file.name, "/v1/views", { method: "POST", body }, () => file);
  byId("title").focus({ preventScroll: true });
}

function describe(seen) {
  const known = seen.score !== undefined; // of all that was said: of a part of the sound there is none
  byId("truth-row").hidden = seen.text === undefined;
  byId("difference-row").hidden = !known;
  byId("truth").textContent = seen.text || "";
  byId("prediction").textContent = seen.prediction.text || "(nothing was heard)";
  byId("legend").replaceChildren(...(known ? [legend()] : []));
  if (known) alignment(byId("difference"), seen.alignment);
  const cut = seen.cut ? ` Only the first ${seen.seconds.toFixed(0)} s are looked at.` : "";
  const resampled = seen.rate === seen.model_rate ? "" : `, which the model hears at ${seen.model_rate} Hz`;
  byId("about-clip").textContent = [`${seen.total_seconds.toFixed(2)} s at ${seen.rate} Hz${resampled}.${cut}`, ...(seen.notes ?? [])].join(" ");
  const words = seen.prediction.words;
  const mean = words.length ? words.reduce((sum, word) => sum + word.confidence, 0) / words.length : 0;
  byId("figures").replaceChildren(
    ...(known ? [figure("word error rate", percent(seen.score.wer)), figure("character error rate", percent(seen.score.cer)),
      figure("cosine similarity", seen.score.cosine.toFixed(3))] : []),
    figure("words heard", String(words.length)), figure("mean confidence", words.length ? mean.toFixed(2) : "–"));
  byId("words").tBodies[0].replaceChildren(...words.map((word) => cells(word.text, word.start, word.end, word.confidence)));
  byId("path").tBodies[0].replaceChildren(...seen.log_probs.path.map((run) =>
    cells(run.label === " " ? "space" : run.label, run.start, run.end, run.probability)));
}

function cells(name, ...numbers) {
  return element("tr", {}, element("th", { scope: "row" }, name), ...numbers.map((number) => element("td", { class: "number" }, number.toFixed(2))));
}

// -- what happens when --------------------------------------------------------------------------------------------------

typed(byId("search"), () => { state.offset = 0; return list(); });
byId("dataset").addEventListener("change", guarded(() => {
  Object.assign(state, { name: byId("dataset").value, offset: 0 });
  at(null);
  return list();
}));
byId("back").addEventListener("click", guarded(() => turn(-1)));
byId("forward").addEventListener("click", guarded(() => turn(1)));
byId("previous").addEventListener("click", guarded(() => show(state.index - 1)));
byId("next").addEventListener("click", guarded(() => show(state.index + 1)));
byId("list").addEventListener("keydown", guarded(keys));
byId("file").addEventListener("change", guarded(async () => { if (byId("file").files[0]) await upload(byId("file").files[0]); }));
onColours(() => { if (state.seen) draw(byId("plots"), state.seen, byId("player")); });
follow(byId("player"), byId("plots"));

await guarded(async () => {
  const sets = await askJSON("/v1/dataset");
  byId("data").hidden = !sets.length;
  byId("no-data").hidden = Boolean(sets.length);
  if (!sets.length) return;
  byId("dataset").append(...sets.map((set) =>
    element("option", { value: set.name, "data-utterances": set.utterances }, `${set.name} (${set.utterances})`)));
  const wanted = new URLSearchParams(location.search);
  const index = Number(wanted.get("index"));
  if (sets.some((set) => set.name === wanted.get("data"))) byId("dataset").value = wanted.get("data");
  state.name = byId("dataset").value;
  state.offset = wanted.has("index") && index > 0 ? Math.floor(index / PAGE) * PAGE : 0;
  await list();
  if (wanted.has("data") && wanted.has("index") && Number.isInteger(index)) await show(index);
})();

// The page Compare: one recording, several engines.

import { alignment, legend } from "./alignment.js";
import { askBlob, askJSON, byId, element, figure, guarded, latest, tell, typed } from "./api.js";
import { describe, engineChoice } from "./engines.js";
import { percent, seconds } from "./format.js";

const LISTED = 100;
let recording = null; // { blob, name }
let listed = { name: "", utterances: [] }; // what the choice shows, of which data set
let running = null;

function chooseRecording(blob, name) {
  const player = byId("player");
  if (player.src) URL.revokeObjectURL(player.src);
  recording = blob && { blob, name };
  player.hidden = !blob;
  if (blob) player.src = URL.createObjectURL(blob);
  else player.removeAttribute("src");
}

const list = latest(async (signal) => {
  const query = new URLSearchParams({ search: byId("search").value, limit: LISTED });
  const name = byId("dataset").value;
  const page = await askJSON(`/v1/dataset/${encodeURIComponent(name)}?${query}`, { signal });
  listed = { name, utterances: page.utterances };
  byId("utterance").replaceChildren(...page.utterances.map((one) => element("option", { value: one.index }, `${one.index} · ${one.text || "(nothing)"}${one.speaker ? ` · ${one.speaker}` : ""}`)));
  byId("found").textContent = page.total > LISTED ? `The first ${LISTED} of ${page.total}: search for others.` : `${page.total} found.`;
});

const chooseUtterance = latest(async (signal) => {
  const index = byId("utterance").value;
  if (index === "") return;
  const { name, utterances } = listed; // another list may have come when the sound has
  const blob = await askBlob(`/v1/dataset/${encodeURIComponent(name)}/${index}/audio`, { signal });
  byId("file").value = "";
  chooseRecording(blob, `${name}-${index}.wav`);
  byId("reference").value = utterances.find((one) => String(one.index) === index)?.text ?? "";
});

function column(engine, against) {
  const made = element("article", { class: `card${engine.error ? " failing" : ""}`, "aria-label": engine.name },
    element("h3", {}, engine.name, " ", element("span", { class: "quiet" }, describe(engine))));
  if (engine.error) {
    made.append(element("p", { class: "error" }, engine.error));
    return made;
  }
  made.append(element("p", { class: "text" }, engine.text || element("span", { class: "quiet" }, "(it heard nothing)")));
  if (engine.alignment && against !== engine.name) {
    const marked = element("p", { class: "marked" });
    alignment(marked, engine.alignment);
    made.append(element("h4", {}, against === "reference" ? "Against what was said" : `Against ${against}`), marked);
  }
  const { scores } = engine;
  made.append(element("dl", { class: "figures" },
    ...(scores ? [figure("WER", percent(scores.wer)), figure("CER", percent(scores.cer)), figure("Cosine", scores.cosine.toFixed(2))] : []),
    figure("Time", seconds(engine.seconds)), engine.confidence == null ? null : figure("Confidence", percent(engine.confidence, 0))));
  return made;
}

function show(answer) {
  byId("results").hidden = false;
  const failed = answer.engines.filter((engine) => engine.error).length;
  byId("about").textContent = `${answer.seconds.toFixed(1)} s of speech.${failed ? ` ${failed} of ${answer.engines.length} failed.` : ""} Words are compared in lower case and without punctuation.${(answer.notes ?? []).map((said) => ` ${said}`).join("")}`;
  byId("columns").replaceChildren(...answer.engines.map((engine) => column(engine, answer.against)));
  byId("results-title").focus();
}

async function compare() {
  if (!recording) throw new Error("Choose a recording first: a file, or an utterance of the data.");
  if (!engines().length) throw new Error("Choose at least one engine.");
  const form = new FormData();
  form.append("file", recording.blob, recording.name);
  for (const name of engines()) form.append("engines", name);
  form.append("reference", byId("reference").value);
  running = new AbortController();
  byId("busy").textContent = "The engines are listening…";
  byId("start").disabled = true;
  byId("cancel").hidden = false;
  try {
    show(await askJSON("/v1/compare", { method: "POST", body: form, signal: running.signal }));
  } finally {
    byId("busy").textContent = "";
    byId("start").disabled = false;
    if (document.activeElement === byId("cancel")) byId("start").focus({ preventScroll: true });
    byId("cancel").hidden = true;
  }
}

byId("legend").append(legend());
byId("compare").addEventListener("submit", (event) => { event.preventDefault(); guarded(compare)(); });
byId("cancel").addEventListener("click", () => running?.abort());
byId("file").addEventListener("change", () => {
  const file = byId("file").files[0];
  byId("utterance").selectedIndex = -1;
  chooseUtterance(); // none: one that is on its way is not wanted any more
  chooseRecording(file, file?.name);
  byId("reference").value = "";
});
byId("dataset").addEventListener("change", guarded(() => list()));
typed(byId("search"), () => list());
byId("utterance").addEventListener("change", guarded(() => chooseUtterance()));

const engines = await engineChoice(byId("engines")).catch((error) => { tell(error.message); return () => ["model"]; });
const datasets = await askJSON("/v1/dataset").catch((error) => { tell(error.message); return []; });
byId("dataset").append(...datasets.map((one) => element("option", { value: one.name }, one.name)));
byId("data").hidden = !datasets.length;
if (datasets.length) await guarded(list)();

// The page Compare: one recording, several engines.

import { alignment, legend } from "./alignment.js";
import { ask, askJSON, byId, element, guarded, tell } from "./api.js";
import { describe, engineChoice } from "./engines.js";

const LISTED = 100;
let recording = null; // { blob, name }
let listed = [];
let running = null;

function chooseRecording(blob, name) {
  const player = byId("player");
  if (player.src) URL.revokeObjectURL(player.src);
  recording = blob && { blob, name };
  player.hidden = !blob;
  if (blob) player.src = URL.createObjectURL(blob);
  else player.removeAttribute("src");
}

async function list() {
  const name = byId("dataset").value;
  const page = await askJSON(`/v1/dataset/${encodeURIComponent(name)}?${new URLSearchParams({ search: byId("search").value, limit: LISTED })}`);
  if (name !== byId("dataset").value) return;
  listed = page.utterances;
  byId("utterance").replaceChildren(...listed.map((one) => element("option", { value: one.index }, `${one.index} · ${one.text || "(nothing)"}${one.speaker ? ` · ${one.speaker}` : ""}`)));
  byId("found").textContent = page.total > LISTED ? `The first ${LISTED} of ${page.total}: search for others.` : `${page.total} found.`;
}

async function chooseUtterance() {
  const index = byId("utterance").value;
  if (index === "") return;
  const name = byId("dataset").value;
  const response = await ask(`/v1/dataset/${encodeURIComponent(name)}/${index}/audio`);
  const blob = await response.blob();
  if (byId("utterance").value !== index) return;
  byId("file").value = "";
  chooseRecording(blob, `${name}-${index}.wav`);
  byId("reference").value = listed.find((one) => String(one.index) === index)?.text ?? "";
}

function figure(name, value) { return element("div", {}, element("dt", {}, name), element("dd", {}, value)); }

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
  const figures = element("dl", { class: "figures" }, figure("Time", engine.seconds < 1 ? `${Math.round(engine.seconds * 1000)} ms` : `${engine.seconds.toFixed(2)} s`));
  if (engine.confidence != null) figures.append(figure("Confidence", `${Math.round(engine.confidence * 100)} %`));
  if (engine.scores) {
    figures.prepend(figure("WER", `${(engine.scores.wer * 100).toFixed(1)} %`));
    figures.append(figure("CER", `${(engine.scores.cer * 100).toFixed(1)} %`), figure("Cosine", engine.scores.cosine.toFixed(2)));
  }
  made.append(figures);
  return made;
}

function show(answer) {
  byId("results").hidden = false;
  const failed = answer.engines.filter((engine) => engine.error).length;
  byId("about").textContent = `${answer.seconds.toFixed(1)} s of speech.${failed ? ` ${failed} of ${answer.engines.length} failed.` : ""} Words are compared in lower case and without punctuation.`;
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
    byId("cancel").hidden = true;
  }
}

byId("legend").append(legend());
byId("compare").addEventListener("submit", (event) => { event.preventDefault(); guarded(compare)(); });
byId("cancel").addEventListener("click", () => running?.abort());
byId("file").addEventListener("change", () => {
  const file = byId("file").files[0];
  byId("utterance").selectedIndex = -1;
  chooseRecording(file, file?.name);
  byId("reference").value = "";
});
byId("dataset").addEventListener("change", guarded(list));
let typing;
byId("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(guarded(list), 250); });
byId("search").addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
byId("utterance").addEventListener("change", guarded(chooseUtterance));

const engines = await engineChoice(byId("engines")).catch((error) => { tell(error.message); return () => ["model"]; });
const datasets = await askJSON("/v1/dataset").catch((error) => { tell(error.message); return []; });
byId("dataset").append(...datasets.map((one) => element("option", { value: one.name }, one.name)));
byId("data").hidden = !datasets.length;
if (datasets.length) await guarded(list)();

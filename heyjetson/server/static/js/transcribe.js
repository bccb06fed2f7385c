// Recordings from files, the microphone or the data set, transcribed one after the other.

import { ask, askBlob, askJSON, authorisation, byId, download, element, guarded, tell } from "./api.js";
import { clock } from "./format.js";
import { chooseIn, Meter, obstacle } from "./microphone.js";
import { record } from "./recorder.js";
import { transcriptView } from "./transcript.js";

const SAMPLES = 5;
const LIMIT = 600; // seconds of a recording in the browser
const waiting = [];
let busy = false;

function say(text) { byId("status").textContent = text; }

/** Send a form; `onprogress(share)` while it goes out, `onsent()` when it is out. Raises the server's own sentence. */
function send(form, { signal, onprogress, onsent }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    request.open("POST", "/v1/audio/transcriptions");
    for (const [name, value] of Object.entries(authorisation())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => { if (event.lengthComputable) onprogress(event.loaded / event.total); };
    request.upload.onload = onsent;
    request.onload = () => {
      if (request.status === 200) resolve(request.response);
      else reject(new Error(request.response?.error?.message || `The server answered ${request.status}.`));
    };
    request.onerror = () => reject(new Error("The server does not answer, or it refused the upload half way. Is it still running?"));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

function formOf(file) {
  const form = new FormData();
  form.append("file", file, file.name);
  form.append("model", "default");
  form.append("response_format", "verbose_json");
  form.append("timestamp_granularities[]", "word");
  form.append("timestamp_granularities[]", "segment");
  const hotWords = byId("hot-words").value.trim();
  if (hotWords) form.append("hot_words", hotWords);
  if (byId("consent")?.checked) form.append("consent", "true");
  return form;
}

/** A card for a recording, at the top of the results. `recorded`: there is no file of it, unlike of what was chosen. */
function add(file, recorded) {
  const job = { file, recorded, body: element("div"), release: () => {} };
  const remove = element("button", { type: "button", class: "remove", "aria-label": `Remove ${file.name}`, onclick: () => discard(job) }, "✕");
  job.card = element("article", { class: "card result", "aria-label": file.name, tabindex: "-1" }, element("div", { class: "row head" }, element("h3", {}, file.name), remove), job.body);
  byId("results").prepend(job.card);
  queue(job);
}

function queue(job) {
  const stop = new AbortController();
  const bar = element("progress", { max: 1, value: 0, "aria-label": `Progress of ${job.file.name}` });
  const state = element("span", { class: "quiet state" }, "Waiting");
  const cancel = element("button", { type: "button", onclick: () => stop.abort() }, "Cancel");
  Object.assign(job, { stop, bar, state });
  fill(job, element("div", { class: "row progress" }, state, bar, cancel));
  stop.signal.addEventListener("abort", () => {
    const at = waiting.indexOf(job);
    if (at >= 0) { waiting.splice(at, 1); failed(job, "Cancelled."); }
  });
  waiting.push(job);
  work();
}

/** What a card shows. A control that had the focus may be gone with what was there: the card takes it. */
function fill(job, ...children) {
  const focused = job.body.contains(document.activeElement);
  job.body.replaceChildren(...children);
  if (focused) job.card.focus({ preventScroll: true });
}

function discard(job) {
  const next = job.card.nextElementSibling || job.card.previousElementSibling;
  job.stop.abort();
  job.release();
  job.card.remove();
  (next?.querySelector(".remove") || byId("file")).focus({ preventScroll: true });
}

/** Nothing is lost by it: the recording can be sent again, and one that was made here can be saved. */
function failed(job, sentence, wrong = false) {
  const again = element("button", { type: "button", onclick: () => queue(job) }, "Try again");
  const save = job.recorded ? element("button", { type: "button", onclick: () => download(job.file.name, job.file, job.file.type) }, "Save the recording") : null;
  fill(job, element("p", { class: wrong ? "error" : "quiet" }, sentence), element("div", { class: "row" }, again, ...(save ? [save] : [])));
  if (wrong) say(`${job.file.name}: ${sentence}`);
}

async function transcribe(job) {
  const { signal } = job.stop;
  let sent = performance.now();
  const begun = sent;
  job.state.textContent = "Sending";
  const onsent = () => { sent = performance.now(); job.state.textContent = "Transcribing"; job.bar.removeAttribute("value"); };
  try {
    await ask("/v1/models", { signal }); // asks for the key where the server wants one
    signal.throwIfAborted();
    const result = await send(formOf(job.file), { signal, onprogress: (share) => { job.bar.value = share; }, onsent });
    signal.throwIfAborted();
    const took = performance.now();
    const figures = {
      Duration: clock(result.duration),
      Words: String(result.words?.length ?? 0),
      "Answered in": `${((took - sent) / 1000).toFixed(2)} s`,
      "With sending": `${((took - begun) / 1000).toFixed(2)} s`,
      "Real-time factor": result.real_time_factor == null ? "–" : result.real_time_factor.toFixed(4),
    };
    const { view, release } = transcriptView(job.file.name, result, job.file, figures);
    job.release = release;
    fill(job, view);
    say(`${job.file.name}: ${result.text || "no word was understood"}`);
  } catch (error) {
    if (error.name === "AbortError") failed(job, "Cancelled.");
    else failed(job, error.message, true);
  }
}

async function work() {
  if (busy) return;
  busy = true;
  while (waiting.length) await transcribe(waiting.shift());
  busy = false;
}

function take(files, recorded = false) {
  for (const file of files) add(file, recorded);
}

function dropping() {
  const zone = byId("drop");
  const over = (on) => (event) => { event.preventDefault(); zone.classList.toggle("over", on); };
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, over(true));
  for (const name of ["dragleave", "drop"]) document.addEventListener(name, over(false));
  document.addEventListener("drop", (event) => take(event.dataTransfer.files));
  byId("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
}

function recording() {
  const button = byId("record");
  const why = obstacle();
  if (why) {
    button.disabled = byId("device").disabled = true;
    byId("obstacle").textContent = why;
    byId("obstacle").hidden = false;
    return;
  }
  const refill = chooseIn(byId("device"));
  const meter = new Meter(byId("meter"));
  let running = null;
  let opening = false;
  let count = 0;
  const show = (on) => {
    byId("record-name").textContent = on ? "Stop and transcribe" : "Record";
    button.classList.toggle("on", on);
    byId("recording").hidden = !on;
    byId("device").disabled = on;
  };
  const stop = async (use) => {
    const recorder = running;
    if (!recorder) return;
    running = null;
    show(false);
    const sound = await recorder.stop();
    meter.clear();
    if (!use) return;
    count += 1;
    take([new File([sound], `recording ${count}.wav`, { type: "audio/wav" })], true);
  };
  button.addEventListener("click", guarded(async () => {
    if (running) { await stop(true); return; }
    if (opening) return;
    opening = true;
    try {
      running = await record({
        device: byId("device").value,
        limit: LIMIT,
        onpiece: (piece) => meter.piece(piece),
        onseconds: (seconds) => { byId("elapsed").textContent = clock(seconds); },
        onlimit: () => { stop(true); tell(`A recording here may last ${LIMIT / 60} minutes; it was ended and is being transcribed.`); },
        onend: (sentence) => { stop(true); tell(`${sentence} What was recorded is being transcribed.`); },
      });
    } finally { opening = false; }
    show(true);
    say("Recording");
    refill();
  }));
  byId("discard").addEventListener("click", guarded(() => { button.focus({ preventScroll: true }); return stop(false); }));
}

/** The first utterances of the server's data, if it has any. */
async function samples() {
  let found;
  try {
    const [first] = await askJSON("/v1/dataset");
    if (!first) return;
    found = { name: first.name, ...await askJSON(`/v1/dataset/${encodeURIComponent(first.name)}?offset=0&limit=${SAMPLES}`) };
  } catch { return; } // the page works without
  const buttons = found.utterances.map(({ index, text, seconds }) => element("li", {}, element("button", {
    type: "button",
    onclick: guarded(async () => {
      const sound = await askBlob(`/v1/dataset/${encodeURIComponent(found.name)}/${index}/audio`);
      take([new File([sound], `${found.name} ${index}.wav`, { type: sound.type })]);
    }),
  }, element("span", { class: "said" }, text || "(no text)"), element("span", { class: "quiet" }, ` ${seconds.toFixed(1)} s`))));
  byId("sample-list").replaceChildren(...buttons);
  byId("samples").hidden = !buttons.length;
}

dropping();
recording();
samples();

// Sentiment: the course of a conversation.

import { askBlob, askJSON, byId, download, element, figure, guarded, latest, sendJSON } from "./api.js";
import { follow } from "./cursor.js";
import { clock, escaped, percent } from "./format.js";
import { colour, onColours, picked, plot } from "./plots.js";

const SIGNS = { positive: "▲", neutral: "●", negative: "▼" };
const SYMBOLS = { positive: "triangle-up", neutral: "circle", negative: "triangle-down" };
const state = { found: null, names: {}, url: "", title: "", source: null };

const COLOURS = { positive: "good", neutral: "quiet", negative: "bad" };
function signed(number) { return `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`; }
function label(compound) { return Math.abs(compound) < 0.05 ? "neutral" : compound > 0 ? "positive" : "negative"; }
function mood(compound) {
  const kind = label(compound);
  return element("span", { class: `mood ${kind}` }, element("span", { "aria-hidden": "true" }, SIGNS[kind]), element("span", { class: "kind" }, ` ${kind}`), ` ${signed(compound)}`);
}
function name(channel) { return channel === null ? "" : state.names[channel] ?? `Speaker ${channel + 1}`; }

// -- asking -------------------------------------------------------------------------------------------------------------

async function ofSound(blob, title, signal) {
  const body = new FormData();
  body.append("file", blob, title);
  body.append("channels", byId("channels").value);
  return askJSON("/v1/sentiment/audio", { method: "POST", body, signal });
}

const analyse = latest(async (signal) => {
  const source = document.querySelector("[name=source]:checked").value;
  byId("busy").textContent = "Listening and counting …";
  try {
    let found, sound = null, title = "text", from = source; // `from`: the same only for the same recording
    if (source === "text") found = await sendJSON("/v1/sentiment", { text: byId("text").value }, { signal });
    else {
      if (source === "file") {
        sound = byId("file").files[0];
        if (!sound) throw new Error("Choose a file first.");
        title = sound.name;
        from = sound;
      } else {
        const path = `/v1/dataset/${encodeURIComponent(byId("dataset").value)}/${Number(byId("index").value)}/audio`;
        sound = await askBlob(path, { signal });
        from = path;
        title = `${byId("dataset").value}-${Number(byId("index").value)}.wav`;
      }
      found = await ofSound(sound, title, signal);
    }
    if (state.url) URL.revokeObjectURL(state.url);
    state.url = sound ? URL.createObjectURL(sound) : "";
    if (state.source !== from) state.names = {};
    Object.assign(state, { found, title, source: from });
    byId("player").hidden = !sound;
    if (sound) byId("player").src = state.url; else byId("player").removeAttribute("src");
    await show();
  } finally {
    if (!signal.aborted) byId("busy").textContent = "";
  }
});

// -- showing ------------------------------------------------------------------------------------------------------------

async function show() {
  const { overall, sentences, timing } = state.found;
  byId("result").hidden = false;
  byId("result").classList.toggle("untimed", !timing);
  const counts = overall.sentences;
  byId("summary").textContent = sentences.length
    ? `On the whole ${overall.label} (${signed(overall.compound)}): ${counts.positive} of ${sentences.length} sentences positive, ${counts.negative} negative, ${counts.neutral} neutral.`
    : "Nothing was heard.";
  byId("summary").append(...(state.found.notes ?? []).map((said) => ` ${said}`));
  byId("figures").replaceChildren(figure("mean sentiment", signed(overall.compound)), figure("words that count as positive", percent(overall.pos, 0)), figure("as negative", percent(overall.neg, 0)),
    ...(timing ? [figure("words a minute", timing.words_per_minute.toFixed(0)), figure("silence", percent(timing.silence, 0)), ...(timing.channels.length > 1 ? [figure("both speak", percent(timing.overlap, 0))] : [])] : []));
  speakers(timing);
  table(sentences);
  byId("course").hidden = !sentences.length;
  byId("pace-figure").hidden = !timing;
  if (sentences.length) await charts();
}

function speakers(timing) {
  const apart = timing?.channels.filter((one) => one.channel !== null) ?? [];
  byId("talk").hidden = !apart.length;
  byId("speakers").tBodies[0].replaceChildren(...apart.map((one) => {
    const bar = element("span", {});
    bar.style.width = `${100 * one.share}%`;
    const field = element("input", { value: name(one.channel), maxlength: "40", "aria-label": `Name of speaker ${one.channel + 1}`, autocomplete: "off",
      oninput: () => { state.names[one.channel] = field.value || undefined; table(state.found.sentences); } });
    return element("tr", {}, element("td", {}, field), element("td", {}, element("div", { class: "share" }, element("div", { "aria-hidden": "true" }, bar), percent(one.share, 0))),
      element("td", { class: "number" }, `${one.speech.toFixed(1)} s`), element("td", { class: "number" }, one.words_per_minute.toFixed(0)), element("td", {}, mood(one.compound)));
  }));
}

function table(sentences) {
  byId("sentences").tBodies[0].replaceChildren(...sentences.map((one, index) => element("tr", { "data-index": index },
    element("td", { class: "timed" }, one.start === null || !state.url ? (one.start === null ? "" : clock(one.start)) : element("button", { type: "button", "aria-label": `Play from ${clock(one.start)}: ${one.text.slice(0, 60)}`, onclick: () => play(one) }, `▶ ${clock(one.start)}`)),
    element("td", { class: "text" }, one.channel === null ? null : element("span", { class: "voice" }, name(one.channel), element("span", { class: "sr" }, ": ")), ...marked(one)), element("td", {}, mood(one.compound)))));
}

/** A sentence with the lexicon's words marked. */
function marked({ text, weighty }) {
  const valence = new Map(weighty.map((one) => [one.word, one.valence]));
  return text.split(" ").flatMap((word, index) => {
    const value = valence.get(word.replace(/^[.,;:!?…"()]+|[.,;:!?…"()]+$/g, "").toLowerCase());
    const shown = value === undefined ? word : element("b", { class: `weighty ${value > 0 ? "positive" : "negative"}`, title: `${signed(value)} in the lexicon` }, word);
    return index ? [" ", shown] : [shown];
  });
}

async function play(one) {
  byId("player").currentTime = one.start;
  await byId("player").play();
}

async function charts() {
  const { sentences, trend, timing } = state.found;
  const x = (one, index) => (timing ? (one.start + one.end) / 2 : index + 1);
  const xaxis = { title: { text: timing ? "seconds" : "sentence", standoff: 4 }, automargin: false, fixedrange: true, ...(timing ? { range: [0, timing.seconds] } : { range: [0.5, sentences.length + 0.5], ...(sentences.length < 20 ? { dtick: 1, tick0: 1 } : {}) }) };
  const margin = { l: 46, r: 10, t: 8, b: 40 };
  const common = { margin, xaxis, dragmode: false, hovermode: "closest", showlegend: false };
  const groups = Object.keys(SIGNS).map((kind) => {
    const part = sentences.map((one, index) => [one, index]).filter(([one]) => one.label === kind);
    return { type: "scatter", mode: "markers", name: kind, x: part.map(([one, index]) => x(one, index)), y: part.map(([one]) => one.compound), marker: { symbol: SYMBOLS[kind], size: 11, color: colour(COLOURS[kind]) },
      text: part.map(([one]) => wrapped(one)), hovertemplate: "%{text}<extra></extra>" };
  });
  const line = { type: "scatter", mode: "lines", x: trend.map((point) => point.time ?? point.sentence + 1), y: trend.map((point) => point.compound), line: { color: colour("text"), width: 2, shape: "spline", smoothing: 0.6 }, hoverinfo: "skip" };
  // A passage lies behind its sentences: as long as they last, on their side of the line.
  const shapes = timing ? sentences.filter((one) => one.label !== "neutral").map((one) => ({ type: "rect", x0: one.start, x1: one.end, y0: 0, y1: one.compound > 0 ? 1 : -1, fillcolor: colour(COLOURS[one.label]), opacity: 0.13, line: { width: 0 }, layer: "below" })) : [];
  byId("trend").setAttribute("aria-label", `Sentiment over ${timing ? "time" : "the sentences"}: ${sentences.length} sentences between ${signed(Math.min(...sentences.map((one) => one.compound)))} and ${signed(Math.max(...sentences.map((one) => one.compound)))}; the trend ends at ${signed(trend.at(-1).compound)}. The table of sentences below has all values.`);
  await plot(byId("trend"), [...groups, line], { ...common, shapes, yaxis: { range: [-1.08, 1.08], tickvals: [-1, -0.5, 0, 0.5, 1], automargin: false, fixedrange: true, zerolinecolor: colour("quiet") } });
  picked(byId("trend"), (time) => { if (timing && state.url) byId("player").currentTime = time; });
  if (timing) {
    const rates = timing.pace.map((point) => point.words_per_minute);
    byId("pace").setAttribute("aria-label", `Words a minute over time: between ${Math.min(...rates).toFixed(0)} and ${Math.max(...rates).toFixed(0)}, ${timing.words_per_minute.toFixed(0)} on the whole, pauses included.`);
    const pace = { type: "scatter", mode: "lines", x: timing.pace.map((point) => point.time), y: rates, fill: "tozeroy", line: { color: colour("accent"), width: 2 }, hovertemplate: "%{x:.0f} s: %{y:.0f} words a minute<extra></extra>" };
    await plot(byId("pace"), [pace], { ...common, yaxis: { rangemode: "tozero", automargin: false, fixedrange: true, nticks: 4 } });
  }
  byId("result").dispatchEvent(new Event("drawn"));
}

/** A sentence for plotly, which reads a small HTML. */
function wrapped(one) {
  const safe = escaped(`${name(one.channel) ? `${name(one.channel)}: ` : ""}${one.text}`);
  return `${safe.replace(/(.{40,60}?) /g, "$1<br>")}<br>${one.label} ${signed(one.compound)}`;
}

function mark() {
  const time = byId("player").currentTime;
  for (const row of byId("sentences").tBodies[0].rows) {
    const one = state.found.sentences[row.dataset.index];
    if (one.start !== null && time > 0 && time >= one.start && time <= one.end) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
  }
}

// -- saving -------------------------------------------------------------------------------------------------------------

/** A cell of a table; a spreadsheet must not take a name for a formula. */
function cell(value) {
  const text = value === null ? "" : typeof value === "string" ? value.replace(/^[=+\-@\t]/, "'$&") : String(value);
  return `"${text.replaceAll('"', '""')}"`;
}

function csv() {
  const head = ["start", "end", "speaker", "sentence", "label", "compound", "pos", "neu", "neg", "words"];
  const rows = state.found.sentences.map((one) => [one.start, one.end, name(one.channel), one.text, one.label, one.compound, one.pos, one.neu, one.neg, one.words]);
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

const stem = () => state.title.replace(/\.[^.]*$/, "") || "conversation";
byId("json").addEventListener("click", () => {
  const speakersByChannel = Object.fromEntries((state.found.timing?.channels ?? []).filter((one) => one.channel !== null).map((one) => [one.channel, name(one.channel)]));
  download(`${stem()}-sentiment.json`, JSON.stringify({ ...state.found, speakers: speakersByChannel }, null, 1), "application/json");
});
byId("csv").addEventListener("click", () => download(`${stem()}-sentiment.csv`, csv(), "text/csv"));

// -- what happens when --------------------------------------------------------------------------------------------------

byId("source").addEventListener("submit", guarded(async (event) => { event.preventDefault(); await analyse(); }));
byId("file").addEventListener("change", guarded(async () => { if (byId("file").files[0]) await analyse(); }));
for (const choice of document.querySelectorAll("[name=source]")) {
  choice.addEventListener("change", () => {
    for (const part of document.querySelectorAll("[data-source]")) part.hidden = part.dataset.source !== choice.value;
  });
}
onColours(guarded(async () => { if (state.found?.sentences.length) await charts(); }));
byId("player").addEventListener("timeupdate", mark);
follow(byId("player"), byId("result"));

await guarded(async () => {
  const sets = await askJSON("/v1/dataset");
  byId("utterance-choice").hidden = !sets.length;
  byId("dataset").append(...sets.map((set) => element("option", { value: set.name, "data-last": set.utterances - 1 }, set.name)));
  const limit = () => { byId("index").max = byId("dataset").selectedOptions[0]?.dataset.last ?? 0; };
  byId("dataset").addEventListener("change", limit);
  limit();
})();

// A transcript: words by confidence, a player that follows them, files to download.

import { copies, download, element, figure } from "./api.js";
import { whilePlaying } from "./cursor.js";
import { escaped } from "./format.js";

const SURE = 0.9;
const UNSURE = 0.6;

function certainty(confidence) { return confidence >= SURE ? "sure" : confidence >= UNSURE ? "fair" : "unsure"; }

/** What the underlines mean. */
export function legend() {
  return element("p", { class: "legend quiet" }, "How sure the model is: ",
    element("span", { class: "word sure" }, `${SURE * 100} % or more`), " ",
    element("span", { class: "word fair" }, `${UNSURE * 100} to ${SURE * 100} %`), " ",
    element("span", { class: "word unsure" }, "less"));
}

/** Words as inline text. `onpick(word)` makes them buttons: one stop of the Tab key, arrows from word to word. */
export function wordList(words, onpick) {
  const list = element("p", { class: "words" });
  const made = words.map((word, index) => {
    const percent = Math.round(word.confidence * 100);
    const about = `${word.start.toFixed(2)}–${word.end.toFixed(2)} s, ${percent} % sure`;
    const attributes = { class: `word ${certainty(word.confidence)}`, title: about };
    if (!onpick) return element("span", attributes, word.word);
    return element("button", { ...attributes, type: "button", tabindex: index ? -1 : 0, "aria-description": about, onclick: () => onpick(word) }, word.word);
  });
  made.forEach((node) => list.append(node, " "));
  if (!onpick) return { list, nodes: made };
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", "Transcript; Enter on a word plays from it, arrows go from word to word");
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = made.indexOf(event.target);
    const to = event.key === "Home" ? 0 : event.key === "End" ? made.length - 1 : at + step;
    if (!made[to]) return;
    event.preventDefault();
    made[at].tabIndex = -1;
    made[to].tabIndex = 0;
    made[to].focus();
  });
  return { list, nodes: made };
}

/** Mark the word that is being played. */
function follow(audio, words, nodes) {
  let marked = -1;
  whilePlaying(audio, () => {
    const now = audio.currentTime;
    let at = marked >= 0 && words[marked].start <= now ? marked : 0;
    while (at + 1 < words.length && words[at + 1].start <= now) at += 1;
    if (!words.length || now < words[at].start || now > words[at].end + 0.3) at = -1;
    if (at !== marked) {
      nodes[marked]?.classList.remove("now");
      nodes[at]?.classList.add("now");
      marked = at;
    }
  });
}

function captionTime(seconds, decimal) {
  const thousandths = Math.round(seconds * 1000);
  const part = (size, of) => String(Math.floor(thousandths / size) % of).padStart(2, "0");
  return `${part(3600000, 1000)}:${part(60000, 60)}:${part(1000, 60)}${decimal}${String(thousandths % 1000).padStart(3, "0")}`;
}

/** Segments as subtitles, `srt` or `vtt`. */
export function subtitles(segments, kind) {
  const decimal = kind === "srt" ? "," : ".";
  const blocks = segments.map(({ start, end, text }, index) =>
    `${kind === "srt" ? `${index + 1}\n` : ""}${captionTime(start, decimal)} --> ${captionTime(end, decimal)}\n${kind === "srt" ? text.trim() : escaped(text.trim())}\n`);
  return (kind === "srt" ? "" : "WEBVTT\n\n") + blocks.join("\n");
}

/** Buttons that give a transcript {text, words, segments} as files. `given()` is asked when one is pressed. */
export function downloads(name, given) {
  const stem = name.replace(/\.[^.]+$/, "") || "transcript";
  const kinds = {
    txt: ["text/plain", ({ text }) => `${text}\n`],
    srt: ["application/x-subrip", ({ segments }) => subtitles(segments, "srt")],
    vtt: ["text/vtt", ({ segments }) => subtitles(segments, "vtt")],
    json: ["application/json", (whole) => `${JSON.stringify(whole, null, 1)}\n`],
  };
  return Object.entries(kinds).map(([kind, [type, make]]) =>
    element("button", { type: "button", "data-kind": kind, "aria-label": `Download as ${kind}`, onclick: () => download(`${stem}.${kind}`, make(given()), type) }, kind));
}

/** The whole view of verbose_json, with the sound (a Blob) under it. */
export function transcriptView(name, result, sound, figures) {
  const url = URL.createObjectURL(sound);
  const audio = element("audio", { controls: true, preload: "metadata", src: url, "aria-label": `Player of ${name}` });
  const cannot = element("p", { class: "quiet", hidden: true }, "This browser cannot play the file's format; the transcript is complete all the same.");
  audio.addEventListener("error", () => { audio.hidden = true; cannot.hidden = false; });
  const { list, nodes } = wordList(result.words || [], (word) => {
    if (audio.hidden) return;
    audio.currentTime = word.start;
    audio.play().catch(() => {}); // a browser may want another click first
  });
  follow(audio, result.words || [], nodes);
  const view = element("div", { class: "transcript" },
    nodes.length ? list : element("p", { class: "quiet" }, "No word was understood in this recording."),
    ...(result.notes || []).map((said) => element("p", { class: "note" }, said)),
    nodes.length ? legend() : null,
    audio, cannot,
    element("dl", { class: "figures" }, ...Object.entries(figures).map(([term, value]) => figure(term, value))),
    element("div", { class: "row downloads" }, element("span", { class: "quiet" }, "Download"), ...downloads(name, () => result),
      copies(element("button", { type: "button" }, "Copy"), () => result.text)));
  return { view, release: () => { audio.pause(); URL.revokeObjectURL(url); } };
}


// The microphone, live: partials as one speaks, finals, wake words.

import { ask, byId, copies, element, guarded } from "./api.js";
import { clock } from "./format.js";
import { chooseIn, Meter, obstacle, openMicrophone } from "./microphone.js";
import { ListenSocket } from "./socket.js";
import { downloads, legend, wordList } from "./transcript.js";

const RATE = 16000;
const LIT = 2500; // milliseconds that a lamp shines
const meter = new Meter(byId("meter"));
const finals = []; // {text, words, start, end}
let running = null; // {microphone, socket}
let stopping = null; // the end of the session before
let opening = false;
let lost = 0;

function whole() {
  return {
    text: finals.map(({ text }) => text).join("\n"),
    words: finals.flatMap(({ words }) => words),
    segments: finals.map(({ text, start, end }, id) => ({ id, start, end, text })),
  };
}

/** The middle of the last figures. */
function middle(node, last = []) {
  return (milliseconds) => {
    if (milliseconds == null) return;
    last.push(milliseconds);
    if (last.length > 20) last.shift();
    node.textContent = `${Math.round([...last].sort((a, b) => a - b)[Math.floor(last.length / 2)])} ms`;
  };
}
const serverLatency = middle(byId("server-latency"));
const roundTrip = middle(byId("round-trip"));

function refresh() {
  const any = finals.length > 0;
  for (const button of document.querySelectorAll("#copy, #clear, #downloads button")) button.disabled = !any;
  byId("empty").hidden = any || byId("partial").textContent !== "";
  byId("legend").hidden = !any;
}

function showPartial(text) {
  byId("partial").textContent = text;
  refresh();
}

function showFinal(event) {
  finals.push({ text: event.text, words: event.words, start: event.start, end: event.end });
  const { list } = wordList(event.words);
  const node = byId("finals");
  const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < 40; // who scrolled back reads there
  node.append(element("li", {}, element("time", { class: "quiet" }, clock(event.start)), list));
  showPartial("");
  if (atEnd) node.scrollTop = node.scrollHeight;
}

function lightUp(event) {
  const lamp = [...document.querySelectorAll(".lamp")].find((node) => node.dataset.word === event.word);
  if (!lamp) return;
  lamp.classList.add("lit");
  clearTimeout(lamp.timer);
  lamp.timer = setTimeout(() => lamp.classList.remove("lit"), LIT);
  byId("heard").textContent = `${event.word} at ${clock(event.time)}`;
}

function hear(event) {
  if (event.type === "partial") {
    showPartial(event.text);
    serverLatency(event.latency_ms);
    roundTrip(event.round_trip_ms);
  }
  if (event.type === "final") showFinal(event);
  if (event.type === "trigger") lightUp(event);
  if (event.type === "ready" && !event.streams) byId("state").textContent = "Listening; this model reads whole utterances, so its text comes in larger steps";
  if (event.type === "error") note(event.message);
}

function note(text) {
  byId("lost").textContent = text;
  byId("lost").hidden = !text;
}

function showState(state, sentence) {
  byId("state").textContent = sentence;
  byId("state").dataset.state = state;
  if (state === "closed") stop();
}

function options() {
  const hotWords = byId("hot-words").value.trim();
  return { silence: byId("silence").value, ...(hotWords ? { hot_words: hotWords } : {}) };
}

function hotWords() {
  const pairs = byId("hot-words").value.split(",").filter((part) => part.trim()).map((part) => {
    const [, phrase, boost] = part.match(/^(.*?)(?::([^:]*))?$/);
    return [phrase.trim(), boost === undefined ? 3 : Number(boost)];
  });
  return Object.fromEntries(pairs);
}

function configure() {
  byId("silence-value").textContent = `${Number(byId("silence").value).toFixed(1)} s`;
  note("");
  running?.socket.command({ type: "configure", hot_words: hotWords(), endpoint: { silence: Number(byId("silence").value) } });
}

function button(on) {
  byId("start").textContent = on ? "Stop" : "Start listening";
  byId("device").disabled = on;
}

async function end({ microphone, socket }) {
  button(false);
  await microphone.close(); // its last piece still goes out
  meter.clear();
  await socket.close();
  showPartial("");
}

function stop() {
  if (running) stopping = end(running);
  running = null;
  return stopping;
}

async function start() {
  await stopping?.catch(() => {}); // its last words belong to it, and its state is told before that of the next
  await ask("/v1/models"); // asks for the key where the server wants one
  note("");
  lost = 0;
  const socket = new ListenSocket({
    rate: RATE, options, onevent: hear, onstate: showState,
    onlost: (seconds) => { lost += seconds; note(`${lost.toFixed(1)} s of sound did not reach the server.`); },
  });
  const microphone = await openMicrophone({
    rate: RATE,
    device: byId("device").value,
    onpiece: (piece) => {
      meter.piece(piece);
      socket.send(piece.pcm);
      byId("seconds").textContent = clock(socket.sent / RATE);
    },
    onend: (sentence) => { stop(); note(sentence); },
  });
  running = { microphone, socket };
  button(true);
  socket.connect();
  refill();
}

const refill = chooseIn(byId("device"));
const why = obstacle();
if (why) {
  byId("start").disabled = byId("device").disabled = true;
  byId("obstacle").textContent = why;
  byId("obstacle").hidden = false;
}
byId("legend").append(legend());
byId("downloads").append(...downloads("live.txt", whole));
byId("start").addEventListener("click", guarded(async () => {
  if (running) { await stop(); return; }
  if (opening) return;
  opening = true;
  try { await start(); } finally { opening = false; }
}));
copies(byId("copy"), () => whole().text);
byId("clear").addEventListener("click", () => { finals.length = 0; byId("finals").replaceChildren(); refresh(); });
byId("hot-words").addEventListener("change", configure);
byId("silence").addEventListener("input", () => { byId("silence-value").textContent = `${Number(byId("silence").value).toFixed(1)} s`; });
byId("silence").addEventListener("change", configure);
refresh();

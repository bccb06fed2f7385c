// The live socket: connects again by itself, keeps the sound of the meantime, and says what it could not keep.

import { protocols } from "./api.js";

const FINAL_CODES = new Set([1000, 1007, 1008, 1009]); // connecting again would not help
const WAITS = [0.5, 1, 2, 4, 8]; // seconds
const KEPT = 20; // seconds of sound that wait for the socket at most
const AHEAD = 5; // seconds in the browser's own buffer, beyond which the network is too slow

/**
 *   options(): the query's values of the moment.
 *   onevent(event): of the server; its times go on over connections. Partials and finals get `round_trip_ms`. A running
 *   utterance whose connection is lost ends with what was understood of it.
 *   onstate(state, sentence): connecting, open, waiting, closed.
 *   onlost(seconds): sound that was thrown away.
 */
export class ListenSocket {
  constructor({ rate = 16000, options = () => ({}), onevent, onstate = () => {}, onlost = () => {} }) {
    Object.assign(this, { rate, options, onevent, onstate, onlost });
    this.kept = [];
    this.keptBytes = 0;
    this.sent = 0; // samples, since the beginning
    this.base = 0; // samples sent before this connection
    this.marks = []; // [samples sent, when]
    this.running = null; // the last partial of the running utterance
    this.tries = 0;
    this.waiting = null; // the command that a connection that is being made is to be told
    this.closing = false; // close() was called
    this.over = false;
  }

  /** Connect. Again when the connection is lost, until `close()` or until the server wants no more. */
  connect() {
    this.onstate("connecting", this.tries ? "Connecting again…" : "Connecting…");
    const query = new URLSearchParams({ rate: this.rate, ...this.options() });
    this.waiting = null; // the query has it
    const address = new URL(`/v1/listen?${query}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address, protocols());
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.ready = false;
    this.said = "";
    socket.onmessage = ({ data }) => { if (!this.over) this.receive(JSON.parse(data)); };
    socket.onclose = ({ code }) => this.closed(code);
  }

  receive(event) {
    if (event.type === "ready") {
      this.ready = true;
      this.tries = 0;
      this.base = this.sent;
      this.marks = [];
      this.onstate("open", "Listening");
      if (this.waiting) this.command(this.waiting);
      this.waiting = null;
      this.drain();
    }
    if (event.type === "error") this.said = event.message;
    if (event.type === "partial" || event.type === "final") {
      const samples = Math.round(event.seconds * this.rate) + this.base;
      const mark = this.marks.find(([until]) => until >= samples);
      if (mark) event.round_trip_ms = performance.now() - mark[1];
      this.marks = this.marks.filter(([until]) => until >= samples);
    }
    const begun = this.base / this.rate;
    for (const name of ["start", "end", "seconds", "time"]) if (name in event) event[name] += begun;
    for (const word of event.words || []) { word.start += begun; word.end += begun; }
    if (event.type === "partial") this.running = event.words.length ? event : null;
    if (event.type === "final" || event.type === "flushed") this.running = null;
    this.onevent(event);
  }

  keepWords() {
    const { running } = this;
    this.running = null;
    if (running) this.onevent({ ...running, type: "final", start: running.words[0].start, end: running.words.at(-1).end });
  }

  closed(code) {
    this.ready = false;
    if (this.over) return;
    this.keepWords();
    if (this.socket.bufferedAmount) this.onlost(this.socket.bufferedAmount / 2 / this.rate);
    if (this.closing) { this.finished?.(); return; } // close() goes on from there
    if (FINAL_CODES.has(code)) { this.end(this.said || "The server ended the stream."); return; }
    const wait = WAITS[Math.min(this.tries, WAITS.length - 1)];
    this.tries += 1;
    this.onstate("waiting", `${this.said || "The server cannot be reached, or all its live streams are in use."} Trying again in ${wait} s.`);
    this.timer = setTimeout(() => this.connect(), wait * 1000);
  }

  // Nothing comes after this, and what is told here is the last that is told.
  end(sentence) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.keepWords();
    if (this.keptBytes) this.onlost(this.keptBytes / 2 / this.rate);
    this.kept = [];
    this.keptBytes = 0;
    if (this.socket && this.socket.readyState < WebSocket.CLOSING) this.socket.close(1000);
    this.onstate("closed", sentence);
  }

  /** Send int16 samples, or keep them until there is a connection. */
  send(pcm) {
    if (this.over) return;
    this.kept.push(pcm);
    this.keptBytes += pcm.byteLength;
    this.drain();
    let lost = 0;
    while (this.keptBytes > KEPT * this.rate * 2) lost += this.shift().byteLength;
    if (lost) this.onlost(lost / 2 / this.rate);
  }

  shift() {
    const pcm = this.kept.shift();
    this.keptBytes -= pcm.byteLength;
    return pcm;
  }

  drain() {
    while (this.ready && this.kept.length && this.socket.readyState === WebSocket.OPEN && this.socket.bufferedAmount < AHEAD * this.rate * 2) {
      const pcm = this.shift();
      this.sent += pcm.byteLength / 2;
      this.marks.push([this.sent, performance.now()]);
      if (this.marks.length > 5000) this.marks.shift();
      this.socket.send(pcm);
    }
  }

  /** Tell the server, at once or before the sound of a connection that is being made; of several commands the last. */
  command(command) {
    if (this.ready) this.socket.send(JSON.stringify(command));
    else this.waiting = command;
  }

  /** End the running utterance and close, once its final has come. */
  async close(patience = 5000) {
    if (this.over) return;
    this.closing = true;
    if (this.ready) {
      this.onstate("waiting", "Ending…");
      const deadline = performance.now() + patience;
      this.drain();
      while (this.kept.length && this.ready && performance.now() < deadline) {
        await new Promise((resolve) => { setTimeout(resolve, 50); });
        this.drain();
      }
      await new Promise((resolve) => {
        this.finished = resolve;
        const tell = this.onevent;
        this.onevent = (event) => { tell(event); if (event.type === "flushed") resolve(); };
        if (this.ready) this.command({ type: "flush" }); else resolve();
        setTimeout(resolve, Math.max(deadline - performance.now(), 500));
      });
    }
    this.end("Stopped");
  }
}

// The charts of Explore: all share the axis of time, so that one cursor goes through them.

import { element } from "./api.js";
import { escaped } from "./format.js";
import { colour, picked, plot, unpack } from "./plots.js";

const SURFACE = { columns: 240, rows: 81 };
const narrow = () => matchMedia("(max-width: 40rem)").matches;
const touch = () => matchMedia("(pointer: coarse)").matches;
const shown = (label) => (label === "" ? "blank" : label === " " ? "space" : label);

/** Make the figures once, then fill them: {key: node of the plot}. */
function places(node) {
  const wanted = [["waveform", "Waveform", "wave"], ["log_spectrogram", "Log-spectrogram", ""], ["mel", "Mel bands", ""], ["mfcc", "MFCC", ""],
    ["log_probs", "What the model thinks", "map"], ["surface", "Spectrogram as a surface", "surface"]];
  if (!node.childElementCount) {
    node.append(...wanted.map(([key, title, kind]) => element("figure", { "data-view": key },
      element("figcaption", {}, element("strong", {}, title), element("span", {})),
      element("div", { class: `canvas ${kind}` }, element("div", { class: "plot" }),
        kind === "surface" ? null : element("div", { class: "cursor", hidden: true })))));
  }
  return Object.fromEntries(wanted.map(([key]) => [key, node.querySelector(`[data-view=${key}] .plot`)]));
}

function say(node, label, caption) {
  node.setAttribute("aria-label", label);
  node.closest("figure").querySelector("figcaption span").textContent = caption;
}

function layout(seen, yaxis, more = {}) {
  return {
    margin: { l: 58, r: narrow() ? 8 : 74, t: 6, b: 34 },
    xaxis: { range: [0, seen.seconds], title: narrow() ? undefined : { text: "seconds", standoff: 4 }, automargin: false, fixedrange: touch() },
    yaxis: { automargin: false, fixedrange: true, ...yaxis },
    dragmode: touch() ? false : "zoom", hovermode: "closest", showlegend: false, ...more,
  };
}

function waveform(node, seen) {
  const { low, high } = seen.waveform;
  const step = seen.seconds / low.length;
  const x = low.flatMap((_, n) => [n * step, n * step]);
  const y = low.flatMap((value, n) => [value, high[n]]);
  const peak = Math.max(...high.map(Math.abs), ...low.map(Math.abs), 1e-4);
  const words = seen.prediction.words.length <= 60 ? seen.prediction.words : [];
  const shapes = words.map((word) => ({ type: "rect", x0: word.start, x1: word.end, y0: -peak * 1.45, y1: -peak * 1.1, fillcolor: colour("mark"), line: { width: 0 }, layer: "below" }));
  const annotations = words.map((word) => ({ x: (word.start + word.end) / 2, y: -peak * 1.275, text: escaped(word.text), showarrow: false, font: { size: narrow() ? 9 : 12 } }));
  say(node, `Waveform of ${seen.seconds.toFixed(2)} s; its peak is ${(20 * Math.log10(peak)).toFixed(0)} dB of full scale.`, "with the words that were heard");
  const trace = { x, y, mode: "lines", line: { width: 1, color: colour("accent") }, hovertemplate: "%{x:.2f} s: %{y:.3f}<extra></extra>" };
  return plot(node, [trace], layout(seen, { range: [-peak * 1.5, peak * 1.1], nticks: 5 }, { shapes, annotations }));
}

function bar(unit) { return { thickness: 10, len: 1, x: 1.01, xpad: 0, ypad: 0, outlinewidth: 0, title: { text: unit, side: "top", font: { size: 11 } }, tickfont: { size: 10 }, nticks: 5 }; }

function heat(picture, more) {
  return { type: "heatmap", z: unpack(picture), x0: picture.seconds_per_column / 2, dx: picture.seconds_per_column, colorscale: "Viridis",
    zmin: picture.low, zmax: picture.high, showscale: !narrow(), ...more };
}

function logSpectrogram(node, seen) {
  const picture = seen.log_spectrogram;
  const bins = picture.shape[0];
  say(node, `Log-spectrogram: ${bins} bins up to ${picture.highest_hertz} Hz over ${seen.seconds.toFixed(2)} s, from ${picture.low.toFixed(0)} to ${picture.high.toFixed(0)} dB.`,
    `${bins} bins, windows of ${picture.window_seconds * 1000} ms every 10 ms, as the original used them`);
  const trace = heat(picture, { y0: 0, dy: picture.highest_hertz / (bins - 1) / 1000, colorbar: bar("dB"), hovertemplate: "%{x:.2f} s, %{y:.2f} kHz: %{z:.0f} dB<extra></extra>" });
  return plot(node, [trace], layout(seen, { title: { text: "kHz", standoff: 4 }, range: [0, picture.highest_hertz / 1000] }));
}

function mel(node, seen) {
  const picture = seen.mel;
  const bands = picture.shape[0];
  const ticks = [0, Math.floor(bands / 4), Math.floor(bands / 2), Math.floor((3 * bands) / 4), bands - 1];
  say(node, `Mel bands: ${bands} bands over ${seen.seconds.toFixed(2)} s, from ${picture.low.toFixed(0)} to ${picture.high.toFixed(0)} dB.`, `${bands} bands, close together where the ear is fine`);
  const names = picture.hertz.map((hertz) => (hertz / 1000).toFixed(2));
  const trace = heat(picture, { y0: 0, dy: 1, colorbar: bar("dB"), customdata: names.map((name) => Array(picture.shape[1]).fill(name)), hovertemplate: "%{x:.2f} s, %{customdata} kHz: %{z:.0f} dB<extra></extra>" });
  return plot(node, [trace], layout(seen, { title: { text: "kHz", standoff: 4 }, tickvals: ticks, ticktext: ticks.map((tick) => names[tick]), range: [-0.5, bands - 0.5] }));
}

function mfcc(node, seen) {
  const picture = seen.mfcc;
  // The first coefficient is the level and dwarfs the others: it is told apart.
  const rest = unpack(picture).slice(1);
  const most = Math.max(...rest.map((row) => Math.max(...row.map(Math.abs))), 1e-6);
  say(node, `MFCC: coefficients 1 to ${rest.length} over ${seen.seconds.toFixed(2)} s, between ${(-most).toFixed(0)} and ${most.toFixed(0)}.`, `coefficients 1 to ${rest.length}; the level, coefficient 0, is left out`);
  const trace = heat(picture, { z: rest, y0: 1, dy: 1, zmin: -most, zmax: most, colorscale: "RdBu", colorbar: bar(""), hovertemplate: "%{x:.2f} s, coefficient %{y}: %{z:.0f}<extra></extra>" });
  return plot(node, [trace], layout(seen, { range: [0.5, rest.length + 0.5], dtick: 3, tick0: 1 }));
}

function logProbs(node, seen) {
  const picture = seen.log_probs;
  const names = picture.labels.map(shown);
  say(node, `Log-probability of ${names.length} labels over ${seen.seconds.toFixed(2)} s. The likeliest labels in turn read: ${seen.prediction.text || "nothing"}. The table below gives each with its time.`,
    `the logarithm of each label's probability every ${(picture.frame_seconds * 1000).toFixed(0)} ms; circles are the decoded path`);
  const z = unpack(picture);
  const map = heat(picture, { z, y0: 0, dy: 1, colorbar: bar("ln p"), customdata: z.map((row, label) => row.map((value) => `${names[label]}: ${(100 * Math.exp(value)).toPrecision(2)} %`)),
    hovertemplate: "%{x:.2f} s, %{customdata}<extra></extra>" });
  const path = picture.path;
  const way = { type: "scatter", mode: "lines+markers", x: path.map((run) => (run.start + run.end) / 2), y: path.map((run) => run.row), line: { color: "rgba(255,255,255,.45)", width: 1 },
    marker: { size: narrow() ? 7 : 9, color: "#ff5a36", line: { color: "#ffffff", width: 1.5 } }, customdata: path.map((run) => `${escaped(shown(run.label))}: ${(100 * run.probability).toFixed(1)} %`),
    hovertemplate: "%{customdata} at %{x:.2f} s<extra>path</extra>" };
  return plot(node, [map, way], layout(seen, { tickvals: names.map((_, n) => n), ticktext: names.map(escaped), tickfont: { size: 11 }, range: [-0.5, names.length - 0.5] }));
}

/** Highest values of blocks, so that a surface has few corners. */
function coarse(rows, wantedRows, wantedColumns) {
  const high = Math.ceil(rows.length / wantedRows), wide = Math.ceil(rows[0].length / wantedColumns);
  const blocks = [];
  for (let top = 0; top < rows.length; top += high) {
    const block = [];
    for (let left = 0; left < rows[0].length; left += wide) {
      block.push(Math.max(...rows.slice(top, top + high).map((row) => Math.max(...row.slice(left, left + wide)))));
    }
    blocks.push(block);
  }
  return { blocks, high, wide };
}

async function surface(node, seen) {
  const picture = seen.log_spectrogram;
  const { blocks, high, wide } = coarse(unpack(picture), SURFACE.rows, SURFACE.columns);
  const hertz = picture.highest_hertz / (picture.shape[0] - 1);
  say(node, `The log-spectrogram as a surface over time and frequency, ${picture.low.toFixed(0)} to ${picture.high.toFixed(0)} dB high. It shows nothing that the log-spectrogram above does not.`, "drag to turn it");
  const axis = (text) => ({ title: { text, font: { size: narrow() ? 9 : 14 } }, ...(narrow() ? { nticks: 3, tickfont: { size: 9 } } : {}), color: colour("text"), gridcolor: colour("line"), backgroundcolor: colour("raised"), showbackground: true });
  const trace = { type: "surface", z: blocks, x: blocks[0].map((_, n) => n * wide * picture.seconds_per_column), y: blocks.map((_, n) => (n * high * hertz) / 1000), colorscale: "Viridis", showscale: false,
    hovertemplate: "%{x:.2f} s, %{y:.2f} kHz: %{z:.0f} dB<extra></extra>" };
  // On a phone a little from the right: the names of the axes stand left of it.
  const camera = narrow() ? { eye: { x: -1.2, y: -2.2, z: 1.5 }, center: { x: -0.3, y: 0.12, z: -0.1 } } : { eye: { x: -0.9, y: -1.6, z: 1.1 } };
  const scene = { xaxis: axis("seconds"), yaxis: axis("kHz"), zaxis: axis("dB"), aspectratio: { x: narrow() ? 1.4 : 1.7, y: 1, z: 0.55 }, camera, dragmode: "turntable" };
  try {
    await plot(node, [trace], { scene, margin: { l: 0, r: 0, t: 0, b: 0 } });
  } catch {
    say(node, "The surface cannot be drawn: this browser has no WebGL.", "cannot be drawn: this browser has no WebGL");
  }
}

let watcher;
/** Three dimensions take a while: they are drawn when they come into view. */
function whenSeen(node, work) {
  watcher?.disconnect();
  watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    work();
  }, { rootMargin: "300px" });
  watcher.observe(node);
}

/** The stretch of time that a change of a chart's layout chose: plotly tells it in three ways. */
function chosenRange(change, seconds) {
  if (change["xaxis.autorange"]) return [0, seconds];
  const range = change["xaxis.range"] || [change["xaxis.range[0]"], change["xaxis.range[1]"]];
  return range[0] === undefined ? null : range;
}

/** A stretch chosen in one chart is shown in all; a click seeks. */
function together(nodes, player) {
  for (const node of nodes) {
    picked(node, (time) => { player.currentTime = time; });
    if (node.bound) continue;
    node.bound = true;
    node.on("plotly_relayout", (change) => {
      const range = chosenRange(change, node.seconds);
      if (!range) return;
      for (const other of nodes) {
        const now = other._fullLayout.xaxis.range;
        if (now[0] !== range[0] || now[1] !== range[1]) window.Plotly.relayout(other, { "xaxis.range": [...range] });
      }
      node.dispatchEvent(new Event("drawn", { bubbles: true }));
    });
  }
}

/** Draw what /v1/views answered. */
export async function draw(node, seen, player) {
  const at = places(node);
  await Promise.all([waveform(at.waveform, seen), logSpectrogram(at.log_spectrogram, seen), mel(at.mel, seen), mfcc(at.mfcc, seen), logProbs(at.log_probs, seen)]);
  const timed = [at.waveform, at.log_spectrogram, at.mel, at.mfcc, at.log_probs];
  for (const one of timed) one.seconds = seen.seconds;
  together(timed, player);
  node.dispatchEvent(new Event("drawn"));
  whenSeen(at.surface, () => surface(at.surface, seen));
}

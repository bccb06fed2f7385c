// The charts of a run: how errors and times are spread, and how times grow with length.

import { byId } from "./api.js";
import { seconds } from "./format.js";
import { plot } from "./plots.js";

function label(bin) {
  if (bin.high === 0) return "0";
  return bin.high == null ? `>${Math.round(bin.low * 100)}` : `${Math.round(bin.low * 100)}–${Math.round(bin.high * 100)}`;
}

function told(node, text) { node.setAttribute("aria-label", text); }

/** A histogram of rates, bins beside each other. */
function rates(id, name, key, engines, common) {
  const bins = (engine) => engine.distributions[key];
  const labels = [...new Set(engines.flatMap((engine) => bins(engine).map(label)))];
  told(byId(id), `Histogram of ${name}. ${engines.map((engine) => `${engine.name}: ${bins(engine)[0].count} of ${engine.done - engine.failed} utterances without an error`).join("; ")}.`);
  return plot(byId(id), engines.map((engine) => ({
    type: "bar", name: engine.name, x: bins(engine).map(label), y: bins(engine).map((bin) => bin.count), hovertemplate: "%{y} utterances with %{x} %<extra></extra>",
  })), { ...common, barmode: "group", xaxis: { title: { text: `${name}, %` }, type: "category", categoryorder: "array", categoryarray: labels }, yaxis: { title: { text: "utterances" } } });
}

function cosine(engines, common) {
  const bins = (engine) => engine.distributions.cosine;
  told(byId("cosine-plot"), `Histogram of cosine similarity. ${engines.map((engine) => `${engine.name}: ${bins(engine).at(-1).count} of ${engine.done - engine.failed} utterances above ${bins(engine).at(-1).low}`).join("; ")}.`);
  return plot(byId("cosine-plot"), engines.map((engine) => ({
    type: "bar", name: engine.name, x: bins(engine).map((bin) => (bin.low + bin.high) / 2), y: bins(engine).map((bin) => bin.count),
    customdata: bins(engine).map((bin) => `${bin.low} to ${bin.high}`), hovertemplate: "%{y} utterances with %{customdata}<extra></extra>",
  })), { ...common, barmode: "group", xaxis: { title: { text: "cosine similarity" }, range: [0, 1], dtick: 0.2 }, yaxis: { title: { text: "utterances" } } });
}

/** Draw the charts of /v1/performance/{id}. */
export async function drawPlots(run) {
  const engines = run.engines.filter((engine) => engine.distributions?.wer.length);
  const many = engines.length > 1;
  const legend = { showlegend: many, legend: { orientation: "h", y: 1.15 } };
  await rates("wer-plot", "WER", "wer", engines, legend);
  await rates("cer-plot", "CER", "cer", engines, legend);
  await cosine(engines, legend);

  const latency = byId("latency-plot");
  told(latency, `Histogram of seconds. ${engines.map((engine) => `${engine.name}: half within ${seconds(engine.latency.p50)}, 95 % within ${seconds(engine.latency.p95)}`).join("; ")}.`);
  await plot(latency, engines.map((engine) => {
    const bins = engine.distributions.latency;
    const width = bins[0].high - bins[0].low;
    return {
      type: "bar", name: engine.name, x: bins.map((bin) => bin.low + width / 2), y: bins.map((bin) => bin.count), width: bins.map(() => width),
      opacity: many ? 0.65 : 1, customdata: bins.map((bin) => (bin.high == null ? `over ${bin.low.toPrecision(2)}` : `${bin.low.toPrecision(2)} to ${bin.high.toPrecision(2)}`)),
      hovertemplate: "%{y} utterances in %{customdata} s<extra></extra>",
    };
  }), { ...legend, barmode: "overlay", bargap: 0.05, xaxis: { title: { text: "seconds" }, rangemode: "tozero" }, yaxis: { title: { text: "utterances" } } });

  const length = byId("length-plot");
  told(length, `Seconds taken against seconds of speech. ${engines.map((engine) => `${engine.name}: real-time factor ${engine.real_time_factor.toPrecision(2)}`).join("; ")}.`);
  await plot(length, engines.map((engine) => ({
    type: "scatter", mode: "markers", name: engine.name, x: engine.distributions.points.map((point) => point[0]), y: engine.distributions.points.map((point) => point[1]),
    marker: { size: 6, opacity: 0.6 }, hovertemplate: "%{x:.2f} s of speech took %{y:.3f} s<extra></extra>",
  })), { ...legend, xaxis: { title: { text: "seconds of speech" }, rangemode: "tozero" }, yaxis: { title: { text: "seconds taken" }, rangemode: "tozero" } });
}

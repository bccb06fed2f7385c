// The charts of a run: how errors and times are spread, and how times grow with length.

import { byId } from "./api.js";
import { plot } from "./plots.js";

function label(bin) {
  if (bin.high === 0) return "0";
  return bin.high == null ? `>${Math.round(bin.low * 100)}` : `${Math.round(bin.low * 100)}–${Math.round(bin.high * 100)}`;
}

function told(node, text) { node.setAttribute("aria-label", text); }

/** Draw the three charts of /v1/performance/{id}. */
export async function drawPlots(run) {
  const engines = run.engines.filter((engine) => engine.distributions?.wer.length);
  const many = engines.length > 1;
  const legend = { showlegend: many, legend: { orientation: "h", y: 1.15 } };
  const labels = [];
  for (const engine of engines) for (const bin of engine.distributions.wer) if (!labels.includes(label(bin))) labels.push(label(bin));

  const wer = byId("wer-plot");
  told(wer, `Histogram of WER. ${engines.map((engine) => `${engine.name}: ${engine.distributions.wer[0].count} of ${engine.done - engine.failed} utterances without an error`).join("; ")}.`);
  await plot(wer, engines.map((engine) => ({
    type: "bar", name: engine.name, x: engine.distributions.wer.map(label), y: engine.distributions.wer.map((bin) => bin.count),
    hovertemplate: "%{y} utterances with %{x} %<extra></extra>",
  })), { ...legend, barmode: "group", xaxis: { title: { text: "WER, %" }, type: "category", categoryorder: "array", categoryarray: labels }, yaxis: { title: { text: "utterances" } } });

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

/** 0.0123 → "12 ms" */
export function seconds(value) { return value < 1 ? `${(value * 1000).toPrecision(value < 0.001 ? 1 : value < 0.1 ? 2 : 3)} ms` : `${value.toFixed(2)} s`; }

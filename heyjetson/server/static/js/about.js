// About: what runs here.

import { askJSON, byId, element, figure, loaded } from "./api.js";
import { percent } from "./format.js";
import { markdown } from "./markdown.js";

const number = (value) => value.toLocaleString("en");
const size = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function pairs(entries) { return element("dl", { class: "pairs" }, ...entries.flatMap(([key, value]) => [element("dt", {}, key), element("dd", {}, value)])); }

/** columns: [title, is a number]; rows of texts. */
function table(columns, rows) {
  const cls = (index) => (columns[index][1] ? { class: "number" } : {});
  return element("table", {}, element("thead", {}, element("tr", {}, ...columns.map(([title], index) => element("th", { scope: "col", ...cls(index) }, title)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell, index) => element("td", cls(index), cell))))));
}

function running({ model, running: now }) {
  byId("running").replaceChildren(figure("model", model.name), figure("kind", model.streams ? "streams" : "whole recordings"),
    figure("runs on", now.provider === "tensorrt" && now.engine ? `tensorrt, ${now.engine}` : now.provider),
    figure("onnxruntime offers", now.available.map((one) => one.replace("ExecutionProvider", "")).join(", ") || "–"),
    figure("precision", model.precision ?? "–"), figure("parameters", model.parameters ? `${(model.parameters / 1e6).toFixed(2)} M` : "–"),
    figure("size", size(model.bytes)), figure("hears", `${number(model.sample_rate)} Hz`), figure("a frame every", `${(model.frame_seconds * 1000).toFixed(0)} ms`),
    ...(model.streams ? [figure("answers every", `${(model.step_seconds * 1000).toFixed(0)} ms`), figure("looks ahead", `${(model.lookahead_seconds * 1000).toFixed(0)} ms`)] : []), figure("language model", now.scorer ? "yes" : "no"), figure("threads", String(now.threads)));
}

function measured({ model }) {
  const rows = Object.entries(model.measured).filter(([, row]) => typeof row === "object" && row && "wer" in row).map(([precision, row]) =>
    [precision, row.manifest ?? "–", percent(row.wer), row.wer_low === undefined ? "–" : `${(row.wer_low * 100).toFixed(2)}–${(row.wer_high * 100).toFixed(2)}`, percent(row.cer), row.cosine === undefined ? "–" : row.cosine.toFixed(3), row.real_time_factor === undefined ? "–" : row.real_time_factor.toFixed(4), String(row.utterances ?? "–"), row.processor ? [row.processor.name, ...(row.processor.instructions ?? [])].join(", ") : "–"]);
  const trained = model.training.validation_wer;
  const said = [rows.length ? null : "This bundle was exported without measuring it; `python export.py … manifest=FILE` does.", trained === undefined ? null : `On the validation set of its training it wrote ${percent(trained)} of the words wrong.`];
  byId("measured").replaceChildren(...(rows.length ? [table([["Precision"], ["Test set"], ["WER", true], ["95 % interval", true], ["CER", true], ["Cosine", true], ["Real-time factor", true], ["Utterances", true], ["Processor"]], rows)] : []),
    ...said.filter(Boolean).flatMap(markdown));
}

function trigger(found) {
  byId("trigger").hidden = !found;
  if (!found) return;
  const hours = found.hours ? ` Thresholds were chosen on ${found.hours.toFixed(1)} hours without the words.` : "";
  byId("trigger-text").textContent = `${found.name} on ${found.provider}: a score for each word every ${(found.frame_seconds * 1000).toFixed(0)} ms, averaged over ${found.smoothing} s; a word is not detected again for ${found.debounce} s.${hours}`;
  const rows = found.words.flatMap((one) => {
    if (!one.calibration.length) return [[`${one.word} ✓`, one.threshold.toFixed(3), "not calibrated", "–"]];
    return one.calibration.map((point) => [Math.abs(point.threshold - one.threshold) < 1e-3 ? `${one.word} ✓` : one.word, point.threshold.toFixed(3), `${point.false_alarms_per_hour}`, percent(point.miss_rate)]);
  });
  byId("words").replaceChildren(table([["Word"], ["Threshold", true], ["Alarms an hour", true], ["Missed", true]], rows), element("p", { class: "quiet" }, "✓ the threshold in use where a client asks for no other. Alarms are false ones."));
}

function layers({ model }) {
  const { layers: found, inputs, outputs, file } = model.graph;
  const ports = (values) => values.map((port) => `${port.name} [${port.shape.join(", ")}]`).join(", ");
  const text = found
    ? `${file}: ${number(found.nodes)} operators of ${found.operators.length} kinds, ONNX operator set ${found.opset}, ${number(found.parameters)} numbers. Below, in order, what holds weights; names are those of the modules that were trained.`
    : `${file} cannot be read here: \`heyjetson info\` says what the bundle is.`;
  byId("graph-text").textContent = text;
  byId("graph").replaceChildren(pairs([["takes", ports(inputs)], ["gives", ports(outputs) || "–"]]));
  if (!found) return;
  const shapes = (all) => all.map((shape) => shape.join(" × ")).join(", ");
  byId("graph").append(
    element("details", { open: true }, element("summary", {}, `${found.layers.length} layers with weights`), element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Layers with weights" },
      table([["Layer"], ["Operator"], ["Weights"], ["Numbers", true]], found.layers.map((one) => [one.name.replace(/^\//, "") || "–", one.operator, shapes(one.shapes), number(one.parameters)])))),
    element("details", {}, element("summary", {}, "Operators by kind"), element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Operators by kind" },
      table([["Operator"], ["Number", true]], found.operators.map((one) => [one.operator, number(one.count)])))));
}

function limits(found) {
  byId("limits").replaceChildren(pairs([
    ["recordings at once", `${found.workers}, and ${found.queue} that wait`], ["live streams", String(found.streams)], ["upload", size(found.upload_bytes)],
    ["length of a recording", `${(found.audio_seconds / 60).toFixed(0)} min`], ["requests a minute", found.requests_per_minute ? String(found.requests_per_minute) : "no limit"],
    ["key", found.keys ? "wanted" : "none: open to all who reach it"], ["recordings", found.keeps_recordings ? "kept where their speaker agrees" : "never kept"]]));
}

await loaded(byId("busy"), async () => {
  const found = await askJSON("/v1/about");
  running(found);
  measured(found);
  trigger(found.trigger);
  layers(found);
  byId("card").replaceChildren(...(found.model.card ? markdown(found.model.card) : [element("p", { class: "quiet" }, "The bundle has no MODEL_CARD.md.")]));
  byId("versions").replaceChildren(pairs(Object.entries(found.versions)));
  limits(found.limits);
  byId("about").hidden = false;
});

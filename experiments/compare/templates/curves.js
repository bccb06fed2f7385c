"use strict";
// Learning curves: what is drawn, and over what, can be switched.
const CURVE_NAMES = {
  val_wer: "validation WER",
  val_loss: "validation loss",
  train_loss: "training loss",
  val_cer: "validation CER",
  learning_rate: "learning rate",
};
const AXIS_NAMES = { step: "steps", minutes: "minutes", epoch: "epochs" };
const curveKeys = Object.keys(CURVE_NAMES).filter((key) => data.curves.some((curve) => key in curve));
options(
  byId("curve-y"),
  curveKeys.map((key) => [key, CURVE_NAMES[key]]),
);

const drawCurves = plot("curves", () => {
  const [y, x, log] = [byId("curve-y").value, byId("curve-x").value, byId("curve-log").checked];
  const traces = data.runs.flatMap((run, index) => {
    const curve = data.curves[index];
    if (!(y in curve)) return [];
    const kept = curve.step.map((_, at) => at).filter((at) => curve[y][at] !== undefined && curve[y][at] !== null);
    const line = style(index);
    return [
      {
        type: "scatter",
        mode: kept.length < 40 ? "lines+markers" : "lines",
        name: plain(run.name),
        x: kept.map((at) => curve[x][at]),
        y: kept.map((at) => curve[y][at]),
        line: { color: line.color, dash: line.dash, width: index === data.best ? 3.5 : 1.8 },
        marker: { size: 5 },
        hovertemplate: `${plain(run.name)}<br>%{x} ${AXIS_NAMES[x]}: %{y}<extra></extra>`,
      },
    ];
  });
  if (!traces.length) return "No run kept its curve: neither history.jsonl nor a W&B run was found.";
  byId("curves").setAttribute("aria-label", `${CURVE_NAMES[y]} of ${traces.length} runs over ${AXIS_NAMES[x]}`);
  return [
    traces,
    {
      showlegend: true,
      xaxis: { title: { text: AXIS_NAMES[x] }, rangemode: "tozero" },
      yaxis: {
        title: { text: CURVE_NAMES[y] },
        type: log ? "log" : "linear",
        rangemode: "tozero",
        tickformat: /wer|cer/.test(y) ? ".1~%" : "",
      },
    },
  ];
});
for (const id of ["curve-y", "curve-x", "curve-log"]) byId(id).addEventListener("change", drawCurves);

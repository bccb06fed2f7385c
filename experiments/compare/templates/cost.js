"use strict";
// Accuracy against what it costs, with the front of what nothing else beats in both.
const COSTS = {
  speed: "real-time factor of the bundle, one core",
  size: "size of the bundle, MB",
  nemo: "size of model.nemo, MB",
  parameters: "parameters, millions",
  minutes: "minutes of training",
  Wh: "energy of training, Wh",
};
const costs = Object.keys(COSTS).filter((key) => data.points.some((point) => typeof point[key] === "number"));
options(
  byId("cost-x"),
  costs.map((key) => [key, COSTS[key]]),
);
const testNames = Object.keys(data.rates);
const several = data.shared.length > 1;
options(byId("cost-test"), [
  ...(several ? [["", "all shared test sets"]] : []),
  ...testNames.map((name) => [name, name]),
]);

function accuracy(point, test) {
  const measured = point.wer && point.test === test;
  const rate = test === "" ? data.pooled[point.run] : data.rates[test][point.run];
  const [value, low, high] = measured ? point.wer : rate || [];
  return value === undefined ? null : { rate: value, low, high, of: measured ? "the bundle" : "the model" };
}

function front(spots) {
  let least = Infinity;
  return [...spots]
    .sort((a, b) => a.x - b.x || a.rate - b.rate)
    .filter((spot) => spot.rate < least && ((least = spot.rate), true));
}

const drawCost = plot("cost", () => {
  const [cost, test] = [byId("cost-x").value, byId("cost-test").value];
  const spots = data.points.flatMap((point) => {
    const found = accuracy(point, test);
    return found === null || typeof point[cost] !== "number" ? [] : [{ ...found, x: point[cost], point }];
  });
  if (!spots.length) return "Nothing to draw: no run has both a result and a cost.";
  const css = getComputedStyle(document.documentElement);
  const best = front(spots);
  const nameOf = (spot) => data.runs[spot.point.run].name;
  const label = (spot) =>
    [
      plain(nameOf(spot)),
      ...(spot.point.bundle ? [`bundle ${plain(spot.point.bundle)}, ${plain(spot.point.precision)}`] : []),
      `WER of ${spot.of} ${percent(spot.rate)}`,
      `${COSTS[cost]}: ${Number(spot.x.toPrecision(3))}`,
    ].join("<br>");
  const unbeaten = best.map(nameOf).join(", ");
  byId("cost").setAttribute("aria-label", `Word error rate against ${COSTS[cost]}; not beaten in both: ${unbeaten}`);
  const spread = Math.max(...spots.map((spot) => spot.x)) / Math.min(...spots.map((spot) => spot.x));
  return [
    [
      {
        type: "scatter",
        mode: "lines",
        name: "not beaten",
        x: best.map((spot) => spot.x),
        y: best.map((spot) => spot.rate),
        line: { shape: "hv", color: css.getPropertyValue("--accent").trim(), width: 1.5, dash: "dot" },
        hoverinfo: "skip",
      },
      {
        type: "scatter",
        mode: "markers+text",
        name: "runs",
        x: spots.map((spot) => spot.x),
        y: spots.map((spot) => spot.rate),
        text: spots.map((spot) => String(spot.point.run + 1)),
        textposition: "middle right",
        cliponaxis: false,
        hovertext: spots.map(label),
        hoverinfo: "text",
        marker: {
          size: 10,
          symbol: spots.map((spot) =>
            spot.point.precision === "int8" ? "diamond" : spot.point.precision === "fp16" ? "square" : "circle",
          ),
          color: spots.map((spot) => style(spot.point.run).color),
        },
        error_y: {
          type: "data",
          symmetric: false,
          thickness: 1,
          width: 3,
          color: css.getPropertyValue("--faint").trim(),
          array: spots.map((spot) => (spot.high === null ? 0 : spot.high - spot.rate)),
          arrayminus: spots.map((spot) => (spot.low === null ? 0 : spot.rate - spot.low)),
        },
      },
    ],
    {
      showlegend: false,
      xaxis: { title: { text: COSTS[cost] }, type: spread > 10 ? "log" : "linear", rangemode: "tozero" },
      yaxis: { title: { text: "word error rate" }, tickformat: ".1~%", rangemode: "tozero" },
    },
  ];
});
for (const id of ["cost-x", "cost-test"]) byId(id).addEventListener("change", drawCost);

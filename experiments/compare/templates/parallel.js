"use strict";
// Parallel coordinates over the settings that differ. Brushing an axis dims the other runs in the table.
const FROM_DEEP = [
  [0, "#003b73"],
  [0.5, "#4f9bd9"],
  [1, "#c3ccd5"],
];
const FROM_BRIGHT = [
  [0, "#ffd35c"],
  [0.5, "#b98036"],
  [1, "#56616d"],
];
const ranked = data.runs.map((_, index) => index).filter((index) => data.overall[index] !== null);

function log10Ticks(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  if (distinct.length <= 6) return distinct;
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of [1, 3]) {
      const tick = factor * 10 ** power;
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

function dimension(key) {
  const values = ranked.map((index) => key.values[index]);
  if (!key.numeric) {
    const names = [...new Set(values)].sort();
    return {
      label: key.name,
      values: values.map((value) => names.indexOf(value)),
      range: [-0.2, names.length - 0.8],
      tickvals: names.map((_, at) => at),
      ticktext: names,
    };
  }
  if (key.log) {
    const ticks = log10Ticks(values);
    return {
      label: key.name,
      values: values.map(Math.log10),
      tickvals: ticks.map(Math.log10),
      ticktext: ticks.map((tick) => String(Number(tick.toPrecision(3)))),
    };
  }
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  return distinct.length <= 8 ? { label: key.name, values, tickvals: distinct } : { label: key.name, values };
}

let dimensions = [];
const drawParallel = plot("parallel", () => {
  if (ranked.length < 2 || !data.keys.length)
    return "Nothing to draw: fewer than two runs with a result, or none of their settings differ.";
  const canvas = document.createElement("canvas");
  if (!canvas.getContext("webgl") && !canvas.getContext("webgl2"))
    return "This browser draws no WebGL, which this plot needs; the table holds the same values.";
  const errors = ranked.map((index) => data.overall[index]);
  const css = getComputedStyle(document.documentElement);
  const [ink, faint] = ["--ink", "--faint"].map((name) => css.getPropertyValue(name).trim());
  const last = ranked.length;
  dimensions = [
    {
      label: "#",
      values: ranked.map((index) => index + 1),
      range: [last, 1],
      ...(last <= 20 ? { tickvals: ranked.map((index) => index + 1) } : {}),
    },
    ...data.keys.map(dimension),
    { label: "WER", values: errors, tickformat: ".1%" },
  ];
  byId("parallel").setAttribute(
    "aria-label",
    `Settings ${data.keys.map((key) => key.name).join(", ")} of ${last} runs and their word error rates`,
  );
  return [
    [
      {
        type: "parcoords",
        dimensions,
        labelfont: { color: ink, size: 13 },
        tickfont: { color: ink, size: 11 },
        rangefont: { color: faint, size: 10 },
        unselected: { line: { color: faint, opacity: 0.15 } },
        line: { color: ranked.map((index) => index + 1), colorscale: dark.matches ? FROM_BRIGHT : FROM_DEEP },
        labelangle: phone.matches ? -25 : 0,
      },
    ],
    { margin: { l: 40, r: 40, t: phone.matches ? 75 : 50, b: 30 } },
    { displayModeBar: false },
  ];
});

function inRange(value, ranges) {
  if (!ranges) return true;
  return (Array.isArray(ranges[0]) ? ranges : [ranges]).some(([low, high]) => value >= low && value <= high);
}

if (dimensions.length) {
  byId("parallel").on("plotly_restyle", () => {
    const axes = byId("parallel").data[0].dimensions;
    const kept = ranked.filter((_, at) => axes.every((axis) => inRange(axis.values[at], axis.constraintrange)));
    choose(axes.some((axis) => axis.constraintrange) ? new Set(kept) : null);
  });
}

"use strict";
// Shared by the scripts below: the data, colours, elements, and plots that follow the colour scheme.
const data = JSON.parse(document.getElementById("data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const phone = window.matchMedia("(max-width: 40rem)");
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f7f7f"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const byId = (id) => document.getElementById(id);

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Hover texts of plots know a few tags; names and texts of runs are to be shown as they are.
const plain = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
const percent = (rate) => (100 * rate).toFixed(2) + "%";
const points = (rate) => (rate < 0 ? "−" : "+") + Math.abs(100 * rate).toFixed(2);

function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => element("option", { value, textContent: text })));
  if (chosen !== undefined) select.value = chosen;
}

function style(run) {
  return { color: COLOURS[run % COLOURS.length], dash: DASHES[Math.floor(run / COLOURS.length) % DASHES.length] };
}

function theme(layout) {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  const axis = {
    gridcolor: colour("--line"),
    zerolinecolor: colour("--line"),
    linecolor: colour("--line"),
    automargin: true,
  };
  return {
    paper_bgcolor: colour("--paper"),
    plot_bgcolor: colour("--paper"),
    font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 13 },
    margin: { l: 60, r: 20, t: 20, b: 50 },
    hovermode: "closest",
    legend: phone.matches ? { orientation: "h", yanchor: "top", y: -0.35 } : {},
    ...layout,
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  };
}

// Nothing of a plot is sent anywhere: the button that would is taken out.
const PLOT = {
  responsive: true,
  displaylogo: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["sendChartToCloud", "lasso2d", "select2d"],
};
const drawn = [];
// Draw now and whenever the colour scheme or the width class changes. `make` returns [traces, layout, configuration] or a sentence.
function plot(id, make) {
  const place = byId(id);
  const draw = () => {
    const made = make();
    place.classList.toggle("empty", typeof made === "string");
    if (typeof made === "string") {
      Plotly.purge(place);
      place.textContent = made;
      return;
    }
    if (!place.classList.contains("js-plotly-plot")) place.textContent = "";
    Plotly.react(place, made[0], theme(made[1]), { ...PLOT, ...made[2] });
  };
  drawn.push(draw);
  draw();
  return draw;
}
for (const query of [dark, phone]) query.addEventListener("change", () => drawn.forEach((draw) => draw()));

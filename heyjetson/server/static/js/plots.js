// Charts by plotly.js, which the server takes from the Python package plotly: loaded on the first chart.

// Under the site's policy plotly.js may not make a <style>. It puts its rules into an element of this name where there
// is one, which a sheet of the server may be; and leaves out those of its maps where the other one is there.
const RULES = "plotly.js-style-global", MAPS = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53";

function sheet() {
  return new Promise((resolve) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", id: RULES, href: "/static/css/plotly.css", onload: resolve, onerror: resolve });
    document.head.append(link, Object.assign(document.createElement("meta"), { id: MAPS }));
  });
}

let loading;
function library() {
  loading ||= sheet().then(() => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/plotly.min.js";
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => { loading = null; reject(new Error("The charts could not be loaded from the server.")); };
    document.head.append(script);
  }));
  return loading;
}

/** A colour of site.css. */
export function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim(); }

/** Draw traces into a node, in the page's colours. `layout` and `config` are plotly's. Give the node an aria-label. */
export async function plot(node, traces, layout = {}, config = {}) {
  const plotly = await library();
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), automargin: true };
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("text"), family: "system-ui, sans-serif" },
    margin: { l: 50, r: 15, t: layout.title ? 40 : 15, b: 45 }, colorway: [colour("accent"), "#b5651d", "#4a6fa5", "#a86a8a", "#7a7a3a"],
  };
  const merged = { ...base, ...layout };
  if (!layout.scene) {
    merged.xaxis = { ...axis, ...layout.xaxis };
    merged.yaxis = { ...axis, ...layout.yaxis };
  }
  await plotly.react(node, traces, merged, { responsive: true, displayModeBar: false, ...config });
  node.setAttribute("role", "img");
}

/** Call `work(x)` when a point of a chart is clicked; the last `work` counts, however often the chart is drawn. */
export function picked(node, work) {
  if (!node.picked) node.on("plotly_click", (event) => node.picked(event.points[0].x));
  node.picked = work;
}

// A chart takes the colours of the moment: draw anew when they change.
export function onColours(draw) { matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw); }

/** {shape: [rows, columns], low, high, data: base64 of bytes} → rows of numbers. */
export function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (character) => character.charCodeAt(0));
  const [rows, columns] = packed.shape;
  const step = (packed.high - packed.low) / 255;
  return Array.from({ length: rows }, (_, row) =>
    Array.from(bytes.subarray(row * columns, (row + 1) * columns), (byte) => packed.low + byte * step));
}

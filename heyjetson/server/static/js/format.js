// Numbers and texts as the pages show them.

/** 83.2 → "1:23.2" */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10); // of all of it: 59.97 is 1:00.0
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

/** 0.125 → "12.5 %" */
export function percent(share, digits = 1) { return `${(100 * share).toFixed(digits)} %`; }

/** 0.0123 → "12 ms" */
export function seconds(value) { return value < 1 ? `${Number((value * 1000).toPrecision(value < 0.001 ? 1 : value < 0.1 ? 2 : 3))} ms` : `${value.toFixed(2)} s`; }

/** A text for what reads a small HTML: plotly, and WebVTT. */
export function escaped(text) { return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;"); }

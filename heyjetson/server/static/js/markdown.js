// The little of Markdown that a model card has: headings, lists, tables, code. Text stays text: no HTML comes through.

import { element } from "./api.js";

/** `code` and **bold** within a line. */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.startsWith("`") && part.length > 2) return element("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return element("strong", {}, part.slice(2, -2));
    return part;
  });
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
const isTable = (line) => line?.trim().startsWith("|");
const isItem = (line) => /^\s*[-*] /.test(line ?? "");

function table(lines) {
  const [head, ...rest] = lines.map(cells).filter((row) => !row.every((cell) => /^:?-+:?$/.test(cell)));
  return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Table" }, element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((cell) => element("th", { scope: "col" }, ...inline(cell))))),
    element("tbody", {}, ...rest.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, ...inline(cell))))))));
}

/** Nodes for a text. The facts between --- at its beginning become a list of pairs. */
export function markdown(text) {
  const lines = text.split(/\r?\n/);
  const nodes = [];
  let at = 0;
  const take = (test) => { const from = at; while (at < lines.length && test(lines[at])) at += 1; return lines.slice(from, at); };
  if (lines[0] === "---" && lines.indexOf("---", 1) > 0) {
    const facts = lines.slice(1, lines.indexOf("---", 1)).filter((line) => line.includes(":"));
    at = lines.indexOf("---", 1) + 1;
    nodes.push(element("dl", { class: "pairs" }, ...facts.flatMap((line) => {
      const colon = line.indexOf(":");
      return [element("dt", {}, line.slice(0, colon)), element("dd", {}, line.slice(colon + 1).trim())];
    })));
  }
  while (at < lines.length) {
    const line = lines[at];
    const heading = line.match(/^(#{1,6}) +(.*)$/);
    if (!line.trim()) at += 1;
    else if (line.startsWith("```")) {
      at += 1;
      const code = take((one) => !one.startsWith("```"));
      at += 1;
      nodes.push(element("pre", { tabindex: "0" }, element("code", {}, code.join("\n"))));
    } else if (heading) {
      at += 1;
      nodes.push(element(`h${Math.min(heading[1].length + 2, 6)}`, {}, ...inline(heading[2])));
    } else if (isTable(line)) nodes.push(table(take(isTable)));
    else if (isItem(line)) nodes.push(element("ul", {}, ...take(isItem).map((item) => element("li", {}, ...inline(item.replace(/^\s*[-*] /, ""))))));
    else {
      const first = lines[at];
      at += 1;
      const rest = take((one) => one.trim() && !one.startsWith("#") && !one.startsWith("```") && !isTable(one) && !isItem(one));
      nodes.push(element("p", {}, ...inline([first, ...rest].join(" "))));
    }
  }
  return nodes;
}

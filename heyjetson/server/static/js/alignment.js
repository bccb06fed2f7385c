// What was said against what was written, word by word. Never by colour alone: underlined, struck, and in words.

import { element } from "./api.js";

function word(step) {
  if (step.op === "equal") return step.hypothesis;
  if (step.op === "insert") return element("ins", { title: `added: ${step.hypothesis}` }, element("span", { class: "sr" }, "(added) "), step.hypothesis);
  if (step.op === "delete") return element("del", { title: `missing: ${step.reference}` }, element("span", { class: "sr" }, "(missing) "), step.reference);
  return element("span", { class: "substitute", title: `${step.hypothesis} instead of ${step.reference}` },
    element("span", { class: "written" }, step.hypothesis), element("span", { class: "sr" }, " (instead of "),
    element("span", { class: "said" }, step.reference), element("span", { class: "sr" }, ")"));
}

/** Draw an alignment {op, reference, hypothesis}[] of /v1 into a node, in place of what it holds. */
export function alignment(node, ops) {
  node.classList.add("diff");
  node.replaceChildren(...ops.flatMap((step, index) => (index ? [" ", word(step)] : [word(step)])));
  if (!ops.length) node.append(element("span", { class: "quiet" }, "(nothing was said, nothing was written)"));
}

/** What the marks mean: one line to stand beside alignments. */
export function legend() {
  return element("p", { class: "diff quiet legend" }, element("ins", {}, "added"), " ", element("del", {}, "missing"), " ",
    element("span", { class: "substitute" }, element("span", { class: "written" }, "written"), element("span", { class: "said" }, "said")));
}

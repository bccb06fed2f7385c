// The OpenAPI document as a page: operations by tag, their parameters and answers.
import { askJSON, byId, element, loaded } from "./api.js";

let schemas = {};

function resolved(schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? schemas[name] || {} : schema || {};
}

/** A type in a few words. */
function typeOf(given) {
  const schema = resolved(given);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(typeOf).filter((type) => type !== "null").join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.contentMediaType || schema.format === "binary") return "file";
  return schema.type || "any";
}

function row(name, schema, required, place) {
  const fallback = schema.default === undefined || schema.default === "" ? "" : ` (${JSON.stringify(schema.default)})`;
  return element("tr", {}, element("td", {}, element("code", {}, name)), element("td", {}, place),
    element("td", {}, `${typeOf(schema)}${required ? ", required" : fallback}`), element("td", {}, schema.description || ""));
}

function given(operation) {
  const rows = (operation.parameters || []).map((each) =>
    row(each.name, { ...each.schema, description: each.description }, each.required, each.in));
  for (const [kind, content] of Object.entries(operation.requestBody?.content || {})) {
    const schema = resolved(content.schema);
    const place = kind.includes("form") ? "form" : "JSON";
    for (const [name, each] of Object.entries(schema.properties || {})) {
      rows.push(row(name, each, (schema.required || []).includes(name), place));
    }
  }
  if (!rows.length) return null;
  const head = element("tr", {}, ...["Name", "In", "Type", ""].map((text) => element("th", { scope: "col" }, text)));
  return element("div", {}, element("h3", {}, "Takes"),
    element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "What it takes" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
}

function answers(operation) {
  const rows = Object.entries(operation.responses || {}).map(([status, each]) => element("tr", {},
    element("td", {}, status), element("td", {}, each.description || ""),
    element("td", {}, Object.keys(each.content || {}).join(", "))));
  return element("div", {}, element("h3", {}, "Answers"),
    element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "What it answers" }, element("table", {}, element("tbody", {}, ...rows))));
}

function drawn(path, method, operation) {
  const brief = (operation.description || operation.summary || "").split("\n\n")[0].replace(/\s+/g, " ");
  return element("details", {},
    element("summary", {}, element("span", { class: "method" }, method.toUpperCase()), element("code", {}, path),
      element("span", { class: "quiet" }, brief)),
    element("div", {}, given(operation), answers(operation)));
}

byId("base").textContent = `${location.origin}/v1`;
await loaded(byId("busy"), async () => {
  const document_ = await askJSON("/openapi.json");
  schemas = document_.components?.schemas || {};
  const tags = new Map();
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const tag = operation.tags?.[0] || "other";
      tags.set(tag, [...(tags.get(tag) || []), drawn(path, method, operation)]);
    }
  }
  byId("operations").replaceChildren(...[...tags].map(([tag, drawings]) =>
    element("section", { class: "card" }, element("h2", {}, tag), ...drawings)));
});

// Ticking engines: those of this device to begin with, none to which the sound would have to leave it.

import { askJSON, element } from "./api.js";

const KINDS = { model: "this server's model", bundle: "another bundle of this server", openai: "a server like OpenAI's", azure: "Azure Speech" };

export function describe(engine) { return KINDS[engine.kind] || engine.kind; }

/** Fill a fieldset with the server's engines; `ticked(engine)` chooses which are at first. Returns a function of the chosen names. */
export async function engineChoice(fieldset, ticked = (engine) => engine.local) {
  const engines = await askJSON("/v1/engines");
  for (const engine of engines) {
    fieldset.append(element("label", { class: "engine" },
      element("input", { type: "checkbox", name: "engine", value: engine.name, checked: engine.local && ticked(engine) }),
      element("span", {}, engine.name, " ", element("span", { class: "quiet" }, describe(engine)),
        engine.local ? null : element("strong", { class: "leaves" }, "the sound leaves this device"))));
  }
  return () => [...fieldset.querySelectorAll("input:checked")].map((box) => box.value);
}

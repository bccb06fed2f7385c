// What all pages share: asking the server, keys, messages, small pieces of HTML.

const STORED = "heyjetson-key";
const SENDABLE = /^[!-~]+$/; // a browser sends nothing else in this header

export function byId(id) { return document.getElementById(id); }

export function key() { return sessionStorage.getItem(STORED) || ""; }

export function authorisation() { return key() ? { Authorization: `Bearer ${key()}` } : {}; }

/** Subprotocols of a socket: a browser cannot send it headers. */
export function protocols() {
  const hex = [...new TextEncoder().encode(key())].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return key() ? ["heyjetson", `heyjetson.key.${hex}`] : ["heyjetson"];
}

const PEACE = 2000; // milliseconds without a question after "Cancel": a page asks for several things as it loads
let asking = null;
let declined = -PEACE;
/** Ask for a key, once for all requests that want one. `why` is the server's sentence. Resolves to whether there is one. */
async function askForKey(why) {
  if (performance.now() - declined < PEACE) return false;
  const dialog = byId("key-dialog");
  const field = byId("key-field");
  asking ||= new Promise((resolve) => {
    field.value = "";
    byId("key-why").textContent = why;
    dialog.returnValue = ""; // or it would still be that of the last time where this one is closed by Esc
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "ok";
      if (given) sessionStorage.setItem(STORED, field.value.trim());
      else declined = performance.now();
      asking = null;
      resolve(given);
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

byId("key-form").addEventListener("submit", (event) => {
  const given = byId("key-field").value.trim();
  if (event.submitter?.value === "cancel" || SENDABLE.test(given)) return;
  event.preventDefault();
  byId("key-why").textContent = given ? "A key has letters of a to z, digits and signs only, and no space within." : "Enter a key.";
});

/** fetch with the key; asks for one where the server wants it. Raises an Error with the server's own sentence and `status`. */
export async function ask(path, options = {}) {
  const used = key();
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...authorisation() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  options.signal?.throwIfAborted();
  const why = body?.error?.message || `The server answered ${response.status}.`;
  if (response.status === 401 && (key() !== used || await askForKey(why))) return ask(path, options);
  throw Object.assign(new Error(why), { status: response.status });
}

export async function askJSON(path, options) { return (await ask(path, options)).json(); }

export function sendJSON(path, body, options = {}) {
  return askJSON(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, ...options });
}

/** A file of the server: a link or an <audio> element cannot send a key. */
export async function askBlob(path, options) { return (await ask(path, options)).blob(); }

/** Work whose first argument is a signal: each call aborts the one before, so that no old answer comes after a new one. */
export function latest(work) {
  let running;
  return (...given) => {
    running?.abort();
    running = new AbortController();
    return work(running.signal, ...given);
  };
}

/** Load what a page is about. A node says so meanwhile, and says what went wrong. */
export async function loaded(node, work) {
  try {
    await work();
    node.hidden = true;
  } catch (error) {
    node.textContent = error.message;
    node.className = "error";
  }
}

let hiding;
/** Show a sentence until it has been read; none hides it. */
export function tell(text) {
  const message = byId("message");
  clearTimeout(hiding);
  message.textContent = text || "";
  message.hidden = !text;
  if (text) hiding = setTimeout(() => { message.hidden = true; }, 12000);
}

/** Run an event's work; what goes wrong is told, not lost in the console. */
export function guarded(work) {
  return async (...given) => {
    try { tell(""); return await work(...given); } catch (error) { if (error.name !== "AbortError") tell(error.message); }
  };
}

/** What a button does: it cannot be pressed again before that is done. */
export function press(button, work) {
  button.addEventListener("click", guarded(async () => {
    const focused = document.activeElement === button;
    button.disabled = true;
    try { await work(); } finally {
      button.disabled = false;
      if (focused && document.activeElement === document.body) button.focus({ preventScroll: true });
    }
  }));
}

/** Search as one types: some time after the last letter, and not by the Enter key, which would send the form. */
export function typed(field, work) {
  let timer;
  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(guarded(work), 250); });
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
}

/** Make a button copy the text that `given()` returns. */
export function copies(button, given) {
  button.hidden = !navigator.clipboard; // which pages that are not secure have not
  button.addEventListener("click", guarded(async () => {
    await navigator.clipboard.writeText(given());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }));
  return button;
}

/** element("p", { class: "quiet", onclick: f }, "text", child, …) */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (attribute.startsWith("on")) made.addEventListener(attribute.slice(2), value);
    else if (value === true) made.setAttribute(attribute, "");
    else if (value !== false && value != null) made.setAttribute(attribute, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** A pair of a <dl class="figures">. */
export function figure(name, value) { return element("div", {}, element("dt", {}, name), element("dd", {}, value)); }

/**
 * Let a node hold a child for each item, in order. A child stays as long as its item is there, with its focus and its place, and is
 * filled anew only when the item has changed: one can click in a list that is drawn every second.
 *   key(item): by what it is known; make(): an empty child; fill(child, item).
 */
export function inPlace(node, items, { key, make, fill }) {
  const focused = document.activeElement;
  const old = new Map([...node.children].map((child) => [child.dataset.key, child]));
  const children = items.map((item) => {
    const name = String(key(item));
    const child = old.get(name) || make();
    old.delete(name);
    const content = JSON.stringify(item);
    if (child.content !== content) fill(child, item);
    child.content = content;
    child.dataset.key = name;
    return child;
  });
  for (const child of old.values()) child.remove();
  children.forEach((child, index) => { if (node.children[index] !== child) node.insertBefore(child, node.children[index] ?? null); });
  if (node.contains(focused) && focused !== document.activeElement) focused.focus({ preventScroll: true });
}

/** Offer a text or a Blob as a file. */
export function download(name, content, type) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// On a phone the navigation is wider than the page: the current one is brought into sight.
const here = document.querySelector("nav [aria-current]")?.getBoundingClientRect();
if (here) {
  const nav = document.querySelector("nav");
  nav.scrollLeft += here.left + here.width / 2 - nav.clientWidth / 2 - nav.getBoundingClientRect().left;
}

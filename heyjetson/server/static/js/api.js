// What all pages share: asking the server, keys, messages, small pieces of HTML.

const STORED = "heyjetson-key";

export function key() { return sessionStorage.getItem(STORED) || ""; }

export function authorisation() { return key() ? { Authorization: `Bearer ${key()}` } : {}; }

/** Subprotocols of a socket: a browser cannot send it headers. */
export function protocols() {
  const hex = [...new TextEncoder().encode(key())].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return key() ? ["heyjetson", `heyjetson.key.${hex}`] : ["heyjetson"];
}

function askForKey() {
  const dialog = document.getElementById("key-dialog");
  const field = document.getElementById("key-field");
  return new Promise((resolve) => {
    field.value = "";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "ok") sessionStorage.setItem(STORED, field.value);
      resolve(dialog.returnValue === "ok");
    }, { once: true });
    dialog.showModal();
  });
}

/** fetch with the key; asks for one where the server wants it. Raises an Error with the server's own sentence. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...authorisation() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.status === 401 && await askForKey()) return ask(path, options);
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Error(body?.error?.message || `The server answered ${response.status}.`);
  }
  return response;
}

export async function askJSON(path, options) { return (await ask(path, options)).json(); }

export function sendJSON(path, body, options = {}) {
  return askJSON(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, ...options });
}

/** A recording of the server as an object URL: an <audio> element cannot send a key. */
export async function audioURL(path) { return URL.createObjectURL(await (await ask(path)).blob()); }

let hiding;
/** Show a sentence until it has been read; none hides it. */
export function tell(text) {
  const message = document.getElementById("message");
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

export function byId(id) { return document.getElementById(id); }

/** 83.2 → "1:23.2" */
export function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - minutes * 60).toFixed(1).padStart(4, "0")}`;
}

/** Offer a text as a file. */
export function download(name, text, type) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// On a phone the navigation is wider than the page: the current one is brought into sight.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

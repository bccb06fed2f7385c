// The microphone as int16 pieces at a rate of choice.

const WHY = {
  NotAllowedError: "The browser may not use the microphone. Allow it for this page (the sign at the left of the address), then start again.",
  NotFoundError: "No microphone was found. Connect one, then start again.",
  NotReadableError: "The microphone does not answer: another program may hold it. Close that one, then start again.",
  OverconstrainedError: "The chosen microphone is gone. Choose another one.",
};

/** Why there can be no microphone on this page, or null. */
export function obstacle() {
  if (!window.isSecureContext) {
    return `Browsers give the microphone only to secure pages, and ${location.origin} is not one. Open the page by https, `
      + "or on the device itself as http://localhost. The server's documentation says how to make a certificate.";
  }
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return "This browser cannot record. A current Firefox, Chrome, Edge or Safari can.";
  return null;
}

/** The microphones, as {id, label}; labels are empty until the user allowed one. */
export async function microphones() {
  if (obstacle()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId)
    .map((device, index) => ({ id: device.deviceId, label: device.label || `Microphone ${index + 1}` }));
}

/** Fill a <select> with the microphones, now and whenever one comes or goes. */
export function chooseIn(select) {
  const fill = async () => {
    const found = await microphones();
    const chosen = select.value;
    select.replaceChildren(new Option("Default microphone", ""), ...found.filter(({ id }) => id !== "default").map(({ id, label }) => new Option(label, id)));
    if (found.some(({ id }) => id === chosen)) select.value = chosen;
  };
  navigator.mediaDevices?.addEventListener?.("devicechange", fill);
  fill();
  return fill;
}

/**
 * Open a microphone.
 *   rate: hertz of the pieces; device: its id, or "" for the default one.
 *   onpiece({pcm: ArrayBuffer of int16, rms, peak}); onend(sentence) when the device goes away by itself.
 * Gives {close()}, which resolves after the last piece. Raises an Error with a sentence.
 */
export async function openMicrophone({ rate = 16000, device = "", onpiece, onend = () => {} }) {
  const why = obstacle();
  if (why) throw new Error(why);
  // As it is: models are trained on sound that no browser has worked on.
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  if (device) audio.deviceId = { exact: device };
  let media;
  try {
    media = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new Error(WHY[error.name] || `The microphone could not be opened (${error.message || error.name}).`);
  }
  const release = () => media.getTracks().forEach((track) => track.stop());
  let context;
  try {
    context = new AudioContext({ latencyHint: "interactive" });
    await context.audioWorklet.addModule("/static/js/microphone-worklet.js");
    await context.resume();
  } catch (error) {
    release();
    context?.close();
    throw new Error(`The sound of the microphone cannot be read (${error.message}). Load the page again.`);
  }
  const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0, processorOptions: { rate } });
  const source = context.createMediaStreamSource(media);
  let finished;
  const done = new Promise((resolve) => { finished = resolve; });
  node.port.onmessage = ({ data }) => { if (data.done) finished(); else onpiece(data); };
  source.connect(node);
  let closing;
  const close = () => {
    closing ||= (async () => {
      node.port.postMessage("stop");
      await Promise.race([done, new Promise((resolve) => { setTimeout(resolve, 500); })]);
      source.disconnect();
      release();
      await context.close();
    })();
    return closing;
  };
  media.getAudioTracks()[0].addEventListener("ended", () => { close(); onend("The microphone was disconnected."); });
  return { close };
}

/** Show pieces on a role="meter" whose first child is the bar: decibels of full scale, falling slowly. */
export class Meter {
  constructor(node) { this.node = node; this.shown = -60; this.show(-60); }

  piece({ rms, peak }) {
    this.shown = Math.max(20 * Math.log10(rms + 1e-6), this.shown - 1.5, -60);
    this.show(this.shown, peak >= 0.99);
  }

  show(decibels, clipped = false) {
    const { node } = this;
    node.setAttribute("aria-valuenow", Math.round(decibels));
    node.setAttribute("aria-valuetext", clipped ? "too loud" : decibels <= -59 ? "silence" : `${Math.round(decibels)} decibels`);
    node.classList.toggle("clipped", clipped);
    node.firstElementChild.style.transform = `scaleX(${(decibels + 60) / 60})`;
  }

  clear() { this.shown = -60; this.show(-60); }
}

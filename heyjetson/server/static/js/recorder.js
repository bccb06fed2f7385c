// Records into a wav: the server reads what libsndfile does, which is not what browsers record by themselves.

import { openMicrophone } from "./microphone.js";

/** int16 pieces → a wav (RIFF, PCM, one channel). */
export function wav(pieces, rate) {
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF"); header.setUint32(4, 36 + bytes, true); text(8, "WAVEfmt ");
  header.setUint32(16, 16, true); header.setUint16(20, 1, true); header.setUint16(22, 1, true);
  header.setUint32(24, rate, true); header.setUint32(28, rate * 2, true); header.setUint16(32, 2, true); header.setUint16(34, 16, true);
  text(36, "data"); header.setUint32(40, bytes, true);
  return new Blob([header, ...pieces], { type: "audio/wav" });
}

/** Record until `stop()`, which gives the wav, or until `limit` seconds, when `onlimit` is called. */
export async function record({ rate = 16000, limit = 300, device, onpiece = () => {}, onseconds = () => {}, onlimit = () => {}, onend = () => {} }) {
  const pieces = [];
  let samples = 0;
  let full = false;
  const microphone = await openMicrophone({
    rate, device, onend,
    onpiece(piece) {
      onpiece(piece);
      if (full) return;
      pieces.push(piece.pcm);
      samples += piece.pcm.byteLength / 2;
      onseconds(samples / rate);
      if (samples >= limit * rate) { full = true; onlimit(); }
    },
  });
  return { stop: async () => { await microphone.close(); return wav(pieces, rate); } };
}

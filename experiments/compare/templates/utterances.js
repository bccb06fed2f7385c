"use strict";
// What two runs wrote, utterance by utterance, word under word.
const PAGE = 20;
const LETTERS = { s: ["~", "substituted"], i: ["+", "inserted"], d: ["−", "left out"] };
const texts = data.tests.filter((test) => test.utterances.length);
const readable = texts.length
  ? Object.keys(texts[0].runs)
      .map(Number)
      .sort((a, b) => a - b)
  : [];
let shown = PAGE;

const written = (test, run, at) => test.runs[run][at] || [test.utterances[at][0], ""];
const errorsOf = (test, run, at) => [...written(test, run, at)[1]].filter((letter) => letter !== "=").length;

// Words by place in the reference: heard[i] is what became of word i, before[i] what was inserted before it.
function places(reference, [hypothesis, letters]) {
  const heard = [];
  const before = [[]];
  const words = hypothesis.split(" ").filter(Boolean);
  if (!letters) return { heard: reference.map((word) => [word, "="]), before: [...reference, ""].map(() => []) };
  for (const letter of letters) {
    if (letter === "i") {
      before[heard.length].push([words.shift(), "i"]);
    } else {
      heard.push([letter === "d" ? reference[heard.length] : words.shift(), letter]);
      before.push([]);
    }
  }
  return { heard, before };
}

function wordOf(pair) {
  if (!pair) return element("span", {});
  const [text, letter] = pair;
  return element("span", {
    className: `word ${letter === "=" ? "" : letter}`,
    textContent: letter === "=" ? text : `${LETTERS[letter][0]} ${text}`,
  });
}

function alignment(reference, names, sides) {
  const column = (said, pairs) =>
    element(
      "span",
      { className: "column" },
      element("span", { className: "said", textContent: said }),
      ...pairs.map(wordOf),
    );
  const label = (text) => element("span", { className: "row", textContent: text, title: text });
  const box = element(
    "div",
    { className: "words", ariaHidden: "true" },
    element("span", { className: "column" }, label("reference"), ...names.map(label)),
  );
  for (let at = 0; at <= reference.length; at++) {
    const inserted = Math.max(...sides.map((side) => side.before[at].length));
    for (let more = 0; more < inserted; more++)
      box.append(
        column(
          "",
          sides.map((side) => side.before[at][more]),
        ),
      );
    if (at < reference.length)
      box.append(
        column(
          reference[at],
          sides.map((side) => side.heard[at]),
        ),
      );
  }
  return box;
}

function card({ test, at, a, b, from, to }) {
  const [reference, seconds, speaker, file, sound] = test.utterances[at];
  const words = reference.split(" ").filter(Boolean);
  const sides = [a, b].map((run) => written(test, run, at));
  const names = [a, b].map((run) => `${run + 1} ${data.runs[run].name}`);
  const head = element(
    "div",
    { className: "head" },
    element("b", { textContent: from === to ? `${from} error${from === 1 ? "" : "s"}` : `${from} → ${to} errors` }),
    `${file} · ${seconds} s${speaker ? ` · ${speaker}` : ""} · ${test.name}`,
  );
  if (sound >= 0)
    head.append(
      element("audio", { controls: true, preload: "metadata", src: data.sounds[sound], ariaLabel: `sound of ${file}` }),
    );
  const heard = names.map((name, side) => `${name}: ${sides[side][0] || "nothing"}`).join(". ");
  const spoken = `Reference: ${reference}. ${heard}.`;
  return element(
    "li",
    {},
    head,
    element("p", { className: "hidden", textContent: spoken }),
    alignment(
      words,
      names,
      sides.map((side) => places(words, side)),
    ),
  );
}

function found() {
  const [a, b] = [Number(byId("run-a").value), Number(byId("run-b").value)];
  const [kind, name, speaker] = [byId("kind").value, byId("test").value, byId("speaker").value];
  const [low, high] = byId("length").value.split("-").map(Number);
  const rows = [];
  for (const test of texts) {
    if (name && test.name !== name) continue;
    test.utterances.forEach((utterance, at) => {
      if ((speaker && utterance[2] !== speaker) || utterance[1] < low || utterance[1] >= high) return;
      const [from, to] = [errorsOf(test, a, at), errorsOf(test, b, at)];
      rows.push({ test, at, a, b, from, to });
    });
  }
  const wanted = {
    worse: (row) => row.to > row.from,
    better: (row) => row.to < row.from,
    both: (row) => row.to && row.from,
    all: () => true,
  }[kind];
  const order = {
    worse: (row) => row.from - row.to,
    better: (row) => row.to - row.from,
    both: (row) => -row.to - row.from,
    all: (row) => -row.to,
  }[kind];
  return { rows, list: rows.filter(wanted).sort((one, two) => order(one) - order(two)) };
}

function sentence(rows) {
  const [a, b] = [Number(byId("run-a").value), Number(byId("run-b").value)];
  const worse = rows.filter((row) => row.to > row.from).length;
  const better = rows.filter((row) => row.to < row.from).length;
  const counts = `${rows.length} utterances: ${worse} got worse, ${better} got better.`;
  const names = byId("test").value ? [byId("test").value] : texts.map((test) => test.name);
  const pairs =
    a === b
      ? []
      : names.map((name) => {
          const [first, , delta, low, high, p, significant] = data.pairs[name].find(
            ([one, other]) => (one === a && other === b) || (one === b && other === a),
          );
          const sign = first === a ? 1 : -1;
          const ends = [sign * low, sign * high].sort((x, y) => x - y);
          const chance = p < 0.001 ? "p < 0.001" : `p = ${p.toPrecision(2)}`;
          const interval = `${points(ends[0])} to ${points(ends[1])}, ${chance}`;
          const said = significant ? "significant" : "not significant";
          return `On all of ${name}: ${points(sign * delta)} points (${interval}), ${said}.`;
        });
  return [counts, ...pairs].join(" ");
}

function showTexts() {
  const { rows, list } = found();
  byId("difference").textContent = sentence(rows);
  byId("list").replaceChildren(...list.slice(0, shown).map(card));
  if (!list.length) byId("list").append(element("li", { textContent: "None." }));
  byId("more").hidden = list.length <= shown;
  byId("more").textContent = `Show more (${list.length - shown} left)`;
}

if (!readable.length) {
  byId("texts").replaceChildren(
    byId("texts-title"),
    element("p", { className: "hint", textContent: "No run's utterances are known: only totals were found." }),
  );
} else {
  const names = readable.map((run) => [run, `${run + 1} ${data.runs[run].name}`]);
  const reference = readable.includes(data.reference) ? data.reference : readable[0];
  options(byId("run-a"), names, reference);
  options(byId("run-b"), names, readable.find((run) => run !== reference) ?? reference);
  if (readable.length === 1) byId("kind").value = "both";
  options(byId("test"), [...(texts.length > 1 ? [["", "all"]] : []), ...texts.map((test) => [test.name, test.name])]);
  const speakers = [...new Set(texts.flatMap((test) => test.utterances.map((utterance) => utterance[2])))]
    .filter(Boolean)
    .sort();
  options(byId("speaker"), [
    ["", speakers.length ? "all" : "not known"],
    ...speakers.map((speaker) => [speaker, speaker]),
  ]);
  const seconds = texts.flatMap((test) => test.utterances.map((utterance) => utterance[1])).sort((x, y) => x - y);
  const thirds = [1, 2].map((third) => Number(seconds[Math.floor((third * seconds.length) / 3)].toFixed(1)));
  options(byId("length"), [
    ["0-Infinity", "all"],
    [`0-${thirds[0]}`, `under ${thirds[0]} s`],
    [`${thirds[0]}-${thirds[1]}`, `${thirds[0]} to ${thirds[1]} s`],
    [`${thirds[1]}-Infinity`, `from ${thirds[1]} s`],
  ]);
  for (const id of ["run-a", "run-b", "kind", "test", "speaker", "length"])
    byId(id).addEventListener("change", () => {
      shown = PAGE;
      showTexts();
    });
  byId("more").addEventListener("click", () => {
    shown += PAGE;
    showTexts();
  });
  showTexts();
}

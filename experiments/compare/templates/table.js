"use strict";
// A heading sorts the table; again, the other way. What has no value stays last.
const body = byId("table").tBodies[0];
const headings = [...byId("table").tHead.rows[0].cells];

function sortBy(index, down) {
  const key = (row) => row.cells[index].dataset.value;
  const number = (text) => (text !== "" && isFinite(text) ? Number(text) : NaN);
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = isNaN(number(x)) || isNaN(number(y)) ? x.localeCompare(y) : number(x) - number(y);
    return down ? -order : order;
  });
  body.append(...rows);
  headings.forEach((heading) => heading.removeAttribute("aria-sort"));
  headings[index].setAttribute("aria-sort", down ? "descending" : "ascending");
}

headings.forEach((heading, index) => {
  heading.querySelector("button").addEventListener("click", () => {
    sortBy(index, heading.getAttribute("aria-sort") === "ascending");
  });
});

// Dim all rows but those of the given runs; null shows all.
function choose(runs) {
  for (const row of body.rows) row.classList.toggle("out", runs !== null && !runs.has(Number(row.dataset.run)));
  byId("chosen").textContent =
    runs === null ? "" : `${runs.size} of ${body.rows.length} runs lie in the ranges chosen below.`;
}

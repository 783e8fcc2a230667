"use strict";
// Makes tables sortable by column and filterable by text. Without it they can be read as they are.
const fewestRowsToFilter = 6;

// What a cell is sorted by: a number where it has one, its text otherwise, null where it is empty.
function sortKey(cell) {
  if (cell.classList.contains("num")) {
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  }
  return cell.textContent.trim().toLowerCase() || null;
}

function sortBy(table, heading) {
  const column = Number(heading.dataset.column);
  const before = heading.getAttribute("aria-sort");
  const largestFirst = heading.classList.contains("num") ? before !== "descending" : before === "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", largestFirst ? "descending" : "ascending");
  const keyed = [...table.tBodies[0].rows].map((row) => [sortKey(row.cells[column]), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null); // empty cells stay last
    const order = typeof a === "number" ? a - b : a.localeCompare(b);
    return largestFirst ? -order : order;
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function makeSortable(table) {
  for (const heading of table.querySelectorAll("th[data-column]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(table, heading));
    heading.append(button);
  }
}

function makeFilterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < fewestRowsToFilter) return;
  const bar = document.createElement("div");
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("output");
  bar.className = "filter";
  label.textContent = "Show rows with ";
  input.type = "search";
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
  label.append(input);
  bar.append(label, count);
  table.closest(".wide").before(bar);
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  makeSortable(table);
  makeFilterable(table);
}
for (const wide of document.querySelectorAll(".wide, pre")) {
  wide.tabIndex = 0; // so that keys can scroll it
  const caption = wide.querySelector("caption");
  if (caption !== null) {
    wide.setAttribute("role", "group");
    wide.setAttribute("aria-label", caption.textContent.trim());
  }
}

// On a phone each section of a long page folds under its heading. Without this all of it is open.
function fold(section) {
  const heading = section.querySelector(":scope > h2");
  if (heading === null) return;
  const folded = document.createElement("details");
  const summary = document.createElement("summary");
  folded.className = "part";
  folded.append(summary, ...[...section.childNodes].filter((node) => node !== heading));
  summary.append(heading);
  section.append(folded);
}

// What a link leads to; nothing where it is malformed, such as #100%.
function targetOf(hash) {
  try {
    return document.getElementById(decodeURIComponent(hash.slice(1)));
  } catch {
    return null;
  }
}

// A link shows what it leads to, though it is folded or a filter hides it.
function showTarget(hash) {
  const target = targetOf(hash);
  if (target === null) return;
  target.hidden = false;
  target.querySelector(":scope > details.part")?.setAttribute("open", "");
  for (let around = target.closest("details"); around !== null; around = around.parentElement.closest("details")) {
    around.open = true;
  }
}

if (matchMedia("(max-width: 34rem)").matches) {
  for (const section of document.querySelectorAll("main[data-folds] > section")) fold(section);
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link !== null) showTarget(link.hash);
});
addEventListener("hashchange", () => showTarget(location.hash));
if (location.hash) {
  showTarget(location.hash);
  targetOf(location.hash)?.scrollIntoView();
}

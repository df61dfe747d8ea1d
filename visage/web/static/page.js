import { byId, say } from "./elements.js";
import { droppedFiles, pastedFiles } from "./intake.js";

const VIEWS = ["look", "guard", "enlarge", "live"];

let shown = null;
let view = null;

/** Show the view that the address names; another address, such as that of the skip link, changes nothing. */
async function show() {
  const named = location.hash.slice(1);
  const name = VIEWS.includes(named) ? named : (shown ?? VIEWS[0]);
  if (name === shown) return;
  const first = shown === null;
  shown = name;
  for (const each of VIEWS) byId(`view-${each}`).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    link.ariaCurrent = link.hash === `#${name}` ? "page" : null;
  }
  const title = byId(`${name}-title`);
  document.title = `${title.textContent} – Visage`;
  if (!first) {
    scrollTo(0, 0);
    title.focus({ preventScroll: true });
  }
  try {
    const module = await import(`./${name}.js`);
    // Another may have been chosen meanwhile.
    if (name !== shown) return;
    view = module;
    document.documentElement.dataset.ready = name;
  } catch {
    say(byId(`${name}-trouble`), "Not all of this page has arrived: load it again.");
  }
}

addEventListener("hashchange", show);

addEventListener("paste", (event) => {
  const files = pastedFiles(event.clipboardData);
  if (files.length) view?.take?.(files);
});

const hasFiles = ({ dataTransfer }) => dataTransfer.types.includes("Files");

addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("dragging");
  view?.take?.(droppedFiles(event.dataTransfer));
});

show();

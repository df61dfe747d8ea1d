import { byId, element, showMessage } from "./elements.js";
import { droppedFiles, pastedFiles } from "./files.js";
import { ask } from "./question.js";
import { lang, text } from "./texts.js";

// The views, and what their modules import. The browser loads that at once; otherwise it would find one module in another.
const IMPORTS = {
  "find-faces": ["faces-csv", "faces", "failure", "found-faces", "share", "shrink", "webcam"],
  "hide-faces": [
    "batch-correction", "batch-review", "batch", "box-gestures", "face-editor", "faces", "failure", "originals",
    "photo-editor", "redaction", "server-sent-events", "share", "upload", "zip",
  ],
  "enlarge": ["comparison", "failure", "server-sent-events", "share", "upload"],
  "camera": ["faces", "webcam"],
};
const VIEWS = Object.keys(IMPORTS);

// The views' names in the URLs of earlier versions.
const ALIASES = { look: "find-faces", guard: "hide-faces", live: "camera" };

// In front of the ID of a batch: #hide/ID.
const BATCH = "hide";

let shown = null;
let view = null;

// The modules of the views that were shown.
const loaded = new Set();

/** Show the view that the URL names. Other fragments, such as the skip link's, change nothing. */
async function showView() {
  const fragment = location.hash.slice(1);
  if (Object.hasOwn(ALIASES, fragment)) history.replaceState(null, "", `#${ALIASES[fragment]}`);
  const [named, batchId] = location.hash.slice(1).split("/");
  const name = named === BATCH ? "hide-faces" : VIEWS.includes(named) ? named : (shown ?? VIEWS[0]);
  if (name === shown) {
    view?.openBatch?.(batchId);
    return;
  }
  const first = shown === null;
  shown = name;
  for (const each of VIEWS) byId(`view-${each}`).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    link.ariaCurrent = link.id === `nav-${name}` ? "page" : null;
  }
  const title = byId(`${name}-title`);
  document.title = `${title.textContent} – Visage`;
  if (!first) {
    scrollTo(0, 0);
    title.focus({ preventScroll: true });
  }
  try {
    const module = await load(name);
    loaded.add(module);
    // The user may have chosen another view meanwhile.
    if (name !== shown) return;
    view = module;
    view.openBatch?.(batchId);
    document.documentElement.dataset.ready = name;
  } catch {
    showMessage(byId(`${name}-error`), text("not_loaded"));
  }
}

/** Load the module of a view, and what it imports. A click on a button of the view until then is made up for. */
async function load(name) {
  const section = byId(`view-${name}`);
  let clicked = null;
  const remember = ({ target }) => { clicked = target.closest("button"); };
  section.addEventListener("click", remember);
  try {
    const links = IMPORTS[name].map((each) => element("link", { rel: "modulepreload", href: `static/${each}.js` }));
    document.head.append(...links);
    return await import(`./${name}.js`);
  } finally {
    section.removeEventListener("click", remember);
    if (name === shown) clicked?.click();
  }
}

addEventListener("hashchange", showView);

const languageField = byId("language");
// A browser that goes back restores the last choice, which may not be the language of the page.
languageField.value = lang;
languageField.addEventListener("change", changeLanguage);

/** Load the page in another language. The service puts its texts into the page, so what was chosen is lost. */
async function changeLanguage() {
  const hasPhotos = [...loaded].some((module) => module.hasPhotos?.());
  if (hasPhotos && !(await ask(text("change_language"), text("change")))) {
    languageField.value = lang;
    return;
  }
  const secondsOfYear = 365 * 24 * 3600;
  document.cookie = `${languageField.dataset.cookie}=${languageField.value}; max-age=${secondsOfYear}; SameSite=Lax`;
  location.reload();
}

addEventListener("paste", (event) => {
  const files = pastedFiles(event.clipboardData);
  if (files.length) view?.addFiles?.(files);
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
  view?.addFiles?.(droppedFiles(event.dataTransfer));
});

showView();

import { byId, element } from "./elements.js";
import { describe, placeBox, placeCard, probabilityBars } from "./faces.js";
import { labelText, percent, text } from "./texts.js";

// The number of a face needs this share of the photo's height above its box.
const NUMBER_SPACE = 0.04;

const layer = byId("find-faces-photo").querySelector(".faces");
const rows = byId("find-faces-rows");
const card = byId("find-faces-card");
const caption = byId("find-faces-count");

// The faces that are shown, in the order of their numbers.
let shown = [];

/** Show faces as boxes over the photo and as rows of the table; `count` is the table's caption. */
export function showFaces(faces, photoSize, count) {
  hideFaces();
  shown = faces;
  faces.forEach((face, index) => {
    layer.append(placeBox(faceButton(face, index, photoSize), face.bbox, photoSize));
    rows.append(faceRow(face, index));
  });
  caption.textContent = count;
  activate(0);
}

export function hideFaces() {
  shown = [];
  layer.replaceChildren();
  rows.replaceChildren();
  caption.textContent = text("faces");
  activate();
}

function faceButton(face, index, { height }) {
  const button = element("button", { type: "button", className: "face", ariaLabel: text("face_described", { number: index + 1, description: describe(face) }) });
  // Above the box, but not above the photo.
  const place = face.bbox[1] < NUMBER_SPACE * height ? "number inside" : "number";
  button.append(element("span", { className: place, ariaHidden: "true" }, String(index + 1)));
  const show = () => {
    activate(index);
    scrollToRow(index);
  };
  button.addEventListener("focus", show);
  button.addEventListener("mouseenter", show);
  return button;
}

function faceRow(face, index) {
  const row = element(
    "tr",
    {},
    element("th", { scope: "row" }, String(index + 1)),
    element("td", {}, `${labelText(face.gender)} `, element("span", { className: "quiet" }, percent(face.gender_confidence))),
    element("td", {}, element("span", { className: "whole" }, face.age), " ", element("span", { className: "quiet" }, percent(face.age_confidence))),
    element("td", {}, percent(face.confidence)),
  );
  row.addEventListener("mouseenter", () => activate(index));
  return row;
}

/** Scroll the table, and not the page, until a face's row is visible. */
function scrollToRow(index) {
  const { offsetTop, offsetHeight } = rows.children[index];
  const table = rows.closest(".scroll");
  const { scrollTop, clientHeight } = table;
  const heading = rows.previousElementSibling.offsetHeight;
  table.scrollTop = Math.max(Math.min(scrollTop, offsetTop - heading), offsetTop + offsetHeight - clientHeight);
}

/** Show the card of the face with this index; without an index, hide the card. */
function activate(index) {
  const button = layer.children[index];
  card.hidden = !button;
  [...layer.children].forEach((each) => {
    each.classList.toggle("active", each === button);
    each.removeAttribute("aria-describedby");
  });
  [...rows.children].forEach((row, at) => row.classList.toggle("active", at === index && Boolean(button)));
  if (!button) return;
  card.replaceChildren(...probabilityBars(shown[index], index + 1));
  button.setAttribute("aria-describedby", card.id);
  placeCard(card, button);
}

layer.addEventListener("mouseleave", () => {
  if (!layer.contains(document.activeElement)) activate();
});
addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !card.hidden) activate();
});
// The card moves when the photo loads, the window is resized, or the view is shown again.
new ResizeObserver(() => {
  const active = layer.querySelector(".active");
  if (active) placeCard(card, active);
}).observe(layer);

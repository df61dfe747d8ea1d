import { element } from "./elements.js";
import { labelText, percent, text } from "./texts.js";

/** Place an element over a photo at a box [x1, y1, x2, y2]. The box and the photo's size are in pixels. */
export function placeBox(box, [x1, y1, x2, y2], { width, height }) {
  box.style.left = `${(100 * x1) / width}%`;
  box.style.top = `${(100 * y1) / height}%`;
  box.style.width = `${(100 * (x2 - x1)) / width}%`;
  box.style.height = `${(100 * (y2 - y1)) / height}%`;
  return box;
}

export const countFaces = (count) => text("count_faces", { count });

/** The most likely gender and age group of a face, in a few words. */
export const describe = (face) => text("description", {
  gender: labelText(face.gender),
  gender_confidence: percent(face.gender_confidence),
  age: face.age,
  age_confidence: percent(face.age_confidence),
});

/** The shorter side of a face's box, in pixels. */
export const shorterSide = ({ bbox: [x1, y1, x2, y2] }) => Math.min(x2 - x1, y2 - y1);

/** The content of a face's card: every probability with a bar. */
export function probabilityBars(face, number) {
  return [
    element("h2", {}, text("face_number", { number })),
    bars(face.gender_probabilities, face.gender),
    bars(face.age_probabilities, face.age),
  ];
}

function bars(probabilities, mostLikely) {
  const rows = Object.entries(probabilities).map(([label, probability]) => {
    const bar = element("span", { className: "bar", ariaHidden: "true" });
    bar.style.setProperty("--probability", probability);
    const row = element("div", {}, element("dt", {}, labelText(label)), bar, element("dd", {}, percent(probability)));
    for (const text of label === mostLikely ? [] : [row.firstChild, row.lastChild]) text.className = "unlikely";
    return row;
  });
  return element("dl", { className: "bars" }, ...rows);
}

/** Place a card next to a face, inside their common parent, where it overlaps the other faces least. */
export function placeCard(card, face) {
  // On phones the card follows the photo in the page's flow.
  if (getComputedStyle(card).position === "static") return;
  const gap = 10;
  const { offsetWidth: width, offsetHeight: height, offsetParent: parent } = card;
  // A hidden view has no layout.
  if (!parent) return;
  const { offsetLeft: x, offsetTop: y, offsetWidth, offsetHeight } = face;
  const clamp = (value, max) => Math.max(0, Math.min(value, max));
  const places = [
    [x + offsetWidth + gap, y],
    [x - gap - width, y],
    [x + offsetWidth + gap, y + offsetHeight - height],
    [x - gap - width, y + offsetHeight - height],
    [x, y + offsetHeight + gap],
    [x, y - gap - height],
  ].map(([left, top]) => [clamp(left, parent.clientWidth - width), clamp(top, parent.clientHeight - height)]);
  const overlap = ([left, top]) => [...face.parentElement.children].reduce((sum, other) => {
    const across = Math.min(left + width, other.offsetLeft + other.offsetWidth) - Math.max(left, other.offsetLeft);
    const down = Math.min(top + height, other.offsetTop + other.offsetHeight) - Math.max(top, other.offsetTop);
    return sum + Math.max(0, across) * Math.max(0, down);
  }, 0);
  const [left, top] = places.reduce((best, place) => (overlap(place) < overlap(best) ? place : best));
  card.style.left = `${left}px`;
  card.style.top = `${top}px`;
}

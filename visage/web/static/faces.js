import { element } from "./elements.js";

/** Lay an element over a photo of this size (pixels), where a box [x1, y1, x2, y2] in its pixels is. */
export function lay(over, [x1, y1, x2, y2], { width, height }) {
  over.style.left = `${(100 * x1) / width}%`;
  over.style.top = `${(100 * y1) / height}%`;
  over.style.width = `${(100 * (x2 - x1)) / width}%`;
  over.style.height = `${(100 * (y2 - y1)) / height}%`;
  return over;
}

export const percent = (part) => `${Math.round(100 * part)}%`;

/** What a face was taken for, in a few words. */
export const summary = (face) => `${face.gender} ${percent(face.gender_confidence)}, age ${face.age} ${percent(face.age_confidence)}`;

/** The shorter side of a face's box, in pixels. */
export const sizeOf = ({ bbox: [x1, y1, x2, y2] }) => Math.min(x2 - x1, y2 - y1);

/** All that the nets say of a face, each probability with a bar. */
export function details(face, number) {
  return [
    element("h2", {}, `Face ${number}`),
    bars(face.gender_probabilities, face.gender),
    bars(face.age_probabilities, face.age),
  ];
}

function bars(probabilities, likeliest) {
  const rows = Object.entries(probabilities).map(([label, part]) => {
    const bar = element("span", { className: "bar", ariaHidden: "true" });
    bar.style.setProperty("--part", part);
    const row = element("div", {}, element("dt", {}, label), bar, element("dd", {}, percent(part)));
    for (const text of label === likeliest ? [] : [row.firstChild, row.lastChild]) text.className = "least";
    return row;
  });
  return element("dl", { className: "bars" }, ...rows);
}

/** Put a card beside a face where there is room, inside of what both lie in. */
export function putBeside(card, face) {
  const gap = 10;
  const room = card.offsetParent;
  // Where it follows the photo, as on phones, it has a place already.
  if (getComputedStyle(card).position === "static") return;
  const right = face.offsetLeft + face.offsetWidth + gap;
  const left = face.offsetLeft - gap - card.offsetWidth;
  const fits = right + card.offsetWidth <= room.clientWidth || left < 0;
  card.style.left = `${Math.max(0, Math.min(fits ? right : left, room.clientWidth - card.offsetWidth))}px`;
  card.style.top = `${Math.max(0, Math.min(face.offsetTop, room.clientHeight - card.offsetHeight))}px`;
}

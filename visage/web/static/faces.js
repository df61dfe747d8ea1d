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

/** Put a card beside a face, inside of what both lie in, where it hides the least of the faces. */
export function putBeside(card, face) {
  // Where it follows the photo, as on phones, it has a place already.
  if (getComputedStyle(card).position === "static") return;
  const gap = 10;
  const { offsetWidth: width, offsetHeight: height, offsetParent: room } = card;
  // In a view that is hidden nothing has a place.
  if (!room) return;
  const { offsetLeft: x, offsetTop: y, offsetWidth, offsetHeight } = face;
  const within = (value, most) => Math.max(0, Math.min(value, most));
  const places = [
    [x + offsetWidth + gap, y],
    [x - gap - width, y],
    [x + offsetWidth + gap, y + offsetHeight - height],
    [x - gap - width, y + offsetHeight - height],
    [x, y + offsetHeight + gap],
    [x, y - gap - height],
  ].map(([left, top]) => [within(left, room.clientWidth - width), within(top, room.clientHeight - height)]);
  const hidden = ([left, top]) => [...face.parentElement.children].reduce((sum, each) => {
    const across = Math.min(left + width, each.offsetLeft + each.offsetWidth) - Math.max(left, each.offsetLeft);
    const down = Math.min(top + height, each.offsetTop + each.offsetHeight) - Math.max(top, each.offsetTop);
    return sum + Math.max(0, across) * Math.max(0, down);
  }, 0);
  const [left, top] = places.reduce((best, place) => (hidden(place) < hidden(best) ? place : best));
  card.style.left = `${left}px`;
  card.style.top = `${top}px`;
}

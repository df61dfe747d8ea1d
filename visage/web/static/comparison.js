import { byId, showValue } from "./elements.js";
import { percent, text } from "./texts.js";

const viewport = byId("enlarge-viewport");
const comparison = viewport.querySelector(".comparison");
const after = byId("enlarge-after");
const divider = byId("enlarge-divider");
const zoomButton = byId("enlarge-zoom");

/** Show the whole photo again, with the divider in the middle. */
export function resetComparison() {
  divider.value = 50;
  zoom(false);
}

/** Show the photo at its own size, and let people scroll over it; or fit it into the page. */
function zoom(isActualSize) {
  zoomButton.ariaPressed = String(isActualSize);
  viewport.classList.toggle("actual", isActualSize);
  comparison.style.width = isActualSize ? `${after.naturalWidth}px` : "";
  // Begin in the middle, where the subject of most photos is.
  viewport.scrollTo((viewport.scrollWidth - viewport.clientWidth) / 2, (viewport.scrollHeight - viewport.clientHeight) / 2);
  moveDivider();
}

/** Place the divider in the visible part of the photo. */
function moveDivider() {
  const position = viewport.scrollLeft + (viewport.clientWidth * divider.value) / 100;
  const share = comparison.clientWidth ? (100 * position) / comparison.clientWidth : Number(divider.value);
  comparison.style.setProperty("--divider", `${share}%`);
  showValue(divider, text("divider", { before: percent(divider.value / 100), after: percent(1 - divider.value / 100) }));
}

zoomButton.addEventListener("click", () => zoom(zoomButton.ariaPressed !== "true"));
divider.addEventListener("input", moveDivider);
viewport.addEventListener("scroll", moveDivider);
viewport.addEventListener("pointermove", ({ buttons, pointerType, clientX }) => {
  // A finger moves the photo at its own size, so only a mouse drags the divider there.
  if (pointerType === "mouse" ? !buttons : viewport.classList.contains("actual")) return;
  const { left, width } = viewport.getBoundingClientRect();
  divider.value = (100 * (clientX - left)) / width;
  moveDivider();
});
moveDivider();

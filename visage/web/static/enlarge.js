import { post } from "./api.js";
import { byId, save, say, sayTrouble, showPicture, showValue } from "./elements.js";
import { asBatch, isZip, onChoice, photosAmong, sample } from "./intake.js";

const status = byId("enlarge-status");
const passed = byId("enlarge-passed");
const trouble = byId("enlarge-trouble");
const before = byId("enlarge-before");
const after = byId("enlarge-after");
const part = byId("enlarge-part");

let working = new AbortController();

/** Enlarge this photo in place of the one before; of several, or a ZIP, a batch is made. */
export async function take(chosen) {
  working.abort();
  working = new AbortController();
  const { signal } = working;
  byId("enlarge-result").hidden = true;
  say(trouble);
  try {
    const photos = await photosAmong(chosen);
    if (signal.aborted) return;
    if (photos.length > 1 || isZip(photos[0])) await asBatch(photos, "enhance");
    else await enlarge(photos[0], signal);
  } catch (error) {
    if (!signal.aborted) say(trouble, error.message);
  }
}

async function enlarge(photo, signal) {
  byId("enlarge-drop").classList.add("small");
  byId("enlarge-progress").hidden = false;
  say(status, `Enlarging ${photo.name} …`);
  const begun = performance.now();
  // The service tells nothing before it has ended, but the time that passes shows that the page has not.
  const tick = setInterval(() => say(passed, `${Math.round((performance.now() - begun) / 1000)} seconds`), 1000);
  try {
    const larger = await post("enhance", photo, { as: "blob", signal, onWait: (sentence) => say(status, sentence) });
    showPicture(before, photo);
    showPicture(after, larger);
    await after.decode();
    if (!signal.aborted) show(photo, larger);
  } catch (error) {
    if (signal.aborted) return;
    say(status);
    sayTrouble(trouble, photo.name, error, () => take([photo]));
  } finally {
    clearInterval(tick);
    // Another photo may be under way already.
    if (working.signal === signal) {
      byId("enlarge-progress").hidden = true;
      say(passed);
    }
  }
}

function show(photo, larger) {
  byId("enlarge-result").hidden = false;
  byId("enlarge-download").onclick = () => save(larger, photo.name.replace(/(\.\w+)?$/, "-larger$1"));
  say(status, `${photo.name}: ${after.naturalWidth} × ${after.naturalHeight} pixels.`);
}

function slide() {
  before.parentElement.style.setProperty("--part", `${part.value}%`);
  showValue(part, `${part.value}% before, ${100 - part.value}% after`);
}

onChoice(byId("enlarge-choose"), take);
byId("enlarge-sample").addEventListener("click", () => take(sample()));
part.addEventListener("input", slide);
// The picture follows the pointer too, as the slider above it does.
before.parentElement.addEventListener("pointermove", ({ buttons, pointerType, clientX, currentTarget }) => {
  if (pointerType === "mouse" && !buttons) return;
  const { left, width } = currentTarget.getBoundingClientRect();
  part.value = (100 * (clientX - left)) / width;
  slide();
});
slide();

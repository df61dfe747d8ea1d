import { postPhoto } from "./api.js";
import { byId, saveFile, showError, showImage, showMessage, showValue } from "./elements.js";
import { isZip, onFilesChosen, openAsBatch, photosAmong, samplePhoto } from "./files.js";

const status = byId("enlarge-status");
const elapsed = byId("enlarge-elapsed");
const errorRegion = byId("enlarge-error");
const before = byId("enlarge-before");
const after = byId("enlarge-after");
const divider = byId("enlarge-divider");

let current = new AbortController();

/** Enlarge a photo in place of the previous one. Several photos, or a ZIP, become a batch. */
export async function addFiles(chosen) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  byId("enlarge-result").hidden = true;
  showMessage(errorRegion);
  try {
    const photos = await photosAmong(chosen);
    if (signal.aborted) return;
    if (photos.length > 1 || isZip(photos[0])) await openAsBatch(photos, "enhance");
    else await enlarge(photos[0], signal);
  } catch (error) {
    if (!signal.aborted) showMessage(errorRegion, error.message);
  }
}

async function enlarge(photo, signal) {
  byId("enlarge-drop").classList.add("small");
  byId("enlarge-progress").hidden = false;
  showMessage(status, `Enlarging ${photo.name} …`);
  const started = performance.now();
  // The service reports no progress, so show the elapsed time.
  const timer = setInterval(() => showMessage(elapsed, `${Math.round((performance.now() - started) / 1000)} seconds`), 1000);
  try {
    const enlarged = await postPhoto("enhance", photo, { as: "blob", signal, onWait: (message) => showMessage(status, message) });
    showImage(before, photo);
    showImage(after, enlarged);
    await after.decode();
    if (!signal.aborted) showResult(photo, enlarged);
  } catch (error) {
    if (signal.aborted) return;
    showMessage(status);
    showError(errorRegion, photo.name, error, () => addFiles([photo]));
  } finally {
    clearInterval(timer);
    // The next photo may have started already.
    if (current.signal === signal) {
      byId("enlarge-progress").hidden = true;
      showMessage(elapsed);
    }
  }
}

function showResult(photo, enlarged) {
  byId("enlarge-result").hidden = false;
  byId("enlarge-download").onclick = () => saveFile(enlarged, photo.name.replace(/(\.\w+)?$/, "-enlarged$1"));
  showMessage(status, `${photo.name}: ${after.naturalWidth} × ${after.naturalHeight} pixels.`);
}

function moveDivider() {
  before.parentElement.style.setProperty("--divider", `${divider.value}%`);
  showValue(divider, `${divider.value}% before, ${100 - divider.value}% after`);
}

onFilesChosen(byId("enlarge-choose"), addFiles);
byId("enlarge-sample").addEventListener("click", () => addFiles(samplePhoto()));
divider.addEventListener("input", moveDivider);
before.parentElement.addEventListener("pointermove", ({ buttons, pointerType, clientX, currentTarget }) => {
  if (pointerType === "mouse" && !buttons) return;
  const { left, width } = currentTarget.getBoundingClientRect();
  divider.value = (100 * (clientX - left)) / width;
  moveDivider();
});
moveDivider();

import { postPhoto } from "./api.js";
import { byId, saveFile, showError, showImage, showMessage, showValue } from "./elements.js";
import { canShow, isZip, onFilesChosen, openAsBatch, photosAmong, resultName, samplePhoto } from "./files.js";

const status = byId("enlarge-status");
const elapsed = byId("enlarge-elapsed");
const errorRegion = byId("enlarge-error");
const before = byId("enlarge-before");
const after = byId("enlarge-after");
const divider = byId("enlarge-divider");

const scaleField = byId("enlarge-scale");

let current = new AbortController();

// The photo that is shown or in work, and the scale that the user chose for it and for later ones.
let shown = null;
let chosenScale = scaleField.value;

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
    if (photos.length > 1 || isZip(photos[0])) await openAsBatch(photos, "enhance", chosenScale);
    else await enlarge(photos[0], signal);
  } catch (error) {
    if (!signal.aborted) showMessage(errorRegion, error.message);
  }
}

async function enlarge(photo, signal) {
  byId("enlarge-drop").classList.add("small");
  byId("enlarge-progress").hidden = false;
  shown = photo;
  scaleField.value = chosenScale;
  showMessage(status, `Enlarging ${photo.name} …`);
  const started = performance.now();
  // The service reports no progress, so show the elapsed time.
  const timer = setInterval(() => showMessage(elapsed, `${Math.round((performance.now() - started) / 1000)} seconds`), 1000);
  try {
    const enlarged = await enlargeAsFits(photo, signal);
    const isShown = await canShow(photo);
    showImage(before, isShown ? photo : null);
    before.hidden = !isShown;
    showImage(after, enlarged);
    await after.decode();
    if (!signal.aborted) showResult(photo, enlarged, isShown);
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

/** Enlarge a photo by the scale in the field, or by the largest one that fits, which is then in the field. */
async function enlargeAsFits(photo, signal) {
  const onWait = (message) => showMessage(status, message);
  const send = () => postPhoto("enhance", photo, { as: "blob", signal, onWait, query: { scale: scaleField.value } });
  try {
    return await send();
  } catch (error) {
    if (!error.maxScale || signal.aborted) throw error;
    showMessage(status, `${photo.name} is too large for ${scaleField.value} times. Enlarging it ${error.maxScale} times …`);
    scaleField.value = error.maxScale;
    return send();
  }
}

function showResult(photo, enlarged, isShown) {
  byId("enlarge-result").hidden = false;
  byId("enlarge-download").onclick = () => saveFile(enlarged, resultName(photo, "enlarged", enlarged));
  const reduced = scaleField.value === chosenScale ? "" : ` It is too large for ${chosenScale} times.`;
  const original = isShown ? "" : " This browser cannot show the original.";
  showMessage(status, `${photo.name}: ${after.naturalWidth} × ${after.naturalHeight} pixels.${reduced}${original}`);
}

function moveDivider() {
  before.parentElement.style.setProperty("--divider", `${divider.value}%`);
  showValue(divider, `${divider.value}% before, ${100 - divider.value}% after`);
}

/** Tell in each choice how large a photo may be, in megapixels. */
function showLimits() {
  for (const option of scaleField.options) {
    const megapixels = Math.floor(scaleField.dataset.resultPixels / option.value ** 2 / 1e5) / 10;
    option.textContent += `, photos of up to ${megapixels} megapixels`;
  }
}

showLimits();
scaleField.addEventListener("change", () => {
  chosenScale = scaleField.value;
  if (shown) addFiles([shown]);
});
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

import { lostConnection, postPhoto, RequestError } from "./api.js";
import { resetComparison } from "./comparison.js";
import { blobOf, byId, element, saveFile, showImage, showMessage } from "./elements.js";
import { showError } from "./failure.js";
import { canShow, isZip, onFilesChosen, openAsBatch, photosAmong, resultName, samplePhoto } from "./files.js";
import { serverSentEvents } from "./server-sent-events.js";
import { offerShare } from "./share.js";
import { duration, errorText, lang, percent, text } from "./texts.js";
import { EVENTS, uploadWith } from "./upload.js";

const status = byId("enlarge-status");
const progress = byId("enlarge-progress");
const left = byId("enlarge-left");
const errorRegion = byId("enlarge-error");
const before = byId("enlarge-before");
const after = byId("enlarge-after");

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

export const hasPhotos = () => shown !== null;

async function enlarge(photo, signal) {
  byId("enlarge-drop").classList.add("small");
  progress.hidden = byId("enlarge-work").hidden = false;
  shown = photo;
  scaleField.value = chosenScale;
  showMessage(status, text("sending", { name: photo.name }));
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
    // The next photo may have started already.
    if (current.signal === signal) hideProgress();
  }
}

/** Enlarge a photo by the scale in the field, or by the largest one that fits, which is then in the field. */
async function enlargeAsFits(photo, signal) {
  const onWait = (message) => {
    showMessage(status, message);
    showMessage(left);
  };
  const onProgress = (bytes, total) => showProgress(photo, bytes, total);
  const send = () => postPhoto("enhance", photo, {
    as: (response) => enlargedIn(response, photo),
    headers: { Accept: EVENTS },
    query: { scale: scaleField.value },
    signal,
    onWait,
    send: uploadWith(onProgress, { guarded: true }),
  });
  try {
    return await send();
  } catch (error) {
    if (!error.maxScale || signal.aborted) throw error;
    const scales = { scale: scaleName(scaleField.value), smaller: scaleName(error.maxScale) };
    showMessage(status, text("too_large_for_scale", { name: photo.name, ...scales }));
    scaleField.value = error.maxScale;
    return send();
  }
}

const scaleName = (scale) => Number(scale).toLocaleString(lang);

function showProgress({ name }, bytes, total) {
  if (bytes < total) {
    progress.value = bytes / total;
  } else {
    progress.removeAttribute("value");
    showMessage(status, text("enlarging", { name }));
  }
}

/** The enlarged photo at the end of a response that tells how far the service is. */
async function enlargedIn(response, photo) {
  const started = performance.now();
  for await (const { event, data } of serverSentEvents(response)) {
    if (event === "end") return blobOf(data.picture, data.image.format);
    // A service that stops is waited for, as when it breaks off.
    if (event === "error" && data.code !== "not_ready") throw new RequestError(errorText(data.code, data.error), data);
    if (event === "progress") showTiles(photo, data, (performance.now() - started) / 1000);
  }
  throw lostConnection();
}

function showTiles({ name }, { done, tiles }, seconds) {
  const isLast = done === tiles;
  showMessage(status, isLast ? text("making") : text("enlarging", { name }));
  if (isLast) progress.removeAttribute("value");
  else progress.value = done / tiles;
  const time = done && !isLast ? duration((seconds / done) * (tiles - done)) : "";
  showMessage(left, time && text("enlarging_left", { share: percent(done / tiles), time }));
}

function hideProgress() {
  progress.hidden = byId("enlarge-work").hidden = true;
  progress.removeAttribute("value");
  showMessage(left);
}

function showResult(photo, enlarged, isShown) {
  byId("enlarge-result").hidden = false;
  const name = resultName(photo, "enlarged", enlarged);
  byId("enlarge-download").onclick = () => saveFile(enlarged, name);
  offerShare(byId("enlarge-share"), enlarged, name);
  resetComparison();
  const texts = [text("enlarged_size", { name: photo.name, width: after.naturalWidth, height: after.naturalHeight })];
  if (scaleField.value !== chosenScale) texts.push(text("reduced_scale", { scale: scaleName(chosenScale) }));
  if (!isShown) texts.push(text("original_not_shown"));
  showMessage(status, texts.join(" "));
}

/** Tell beside the drop zone how large a photo may be at each scale, in megapixels. */
function showLimits() {
  const limits = byId("enlarge-limits");
  const each = [...scaleField.options].map(({ value }, index, { length }) => {
    const megapixels = Math.floor(limits.dataset.resultPixels / value ** 2 / 1e5) / 10;
    const separator = index < length - 1 ? "\u00a0·" : "";
    return element("span", {}, text("enlarge_limit", { scale: scaleName(value), megapixels }) + separator);
  });
  // Lines break between the limits.
  limits.replaceChildren(...each.flatMap((limit) => [limit, " "]));
}

function cancel() {
  const { name } = shown;
  current.abort();
  hideProgress();
  showMessage(status, text("not_enlarged", { name }));
  byId("enlarge-choose").focus();
}

showLimits();
scaleField.addEventListener("change", () => {
  chosenScale = scaleField.value;
  if (shown) addFiles([shown]);
});
onFilesChosen(byId("enlarge-choose"), addFiles);
byId("enlarge-sample").addEventListener("click", () => addFiles(samplePhoto()));
byId("enlarge-cancel").addEventListener("click", cancel);

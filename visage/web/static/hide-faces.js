import { postPhoto, request } from "./api.js";
import { forgetBatch, formatBytes, savedBatchId, showBatchError, showEmptyPanel, showUploadProgress, watchBatch } from "./batch.js";
import { blobOf, byId, element, saveFile, showError, showImage, showMessage, showValue } from "./elements.js";
import { placeBox } from "./faces.js";
import { canShow, isZip, onFilesChosen, pathOf, photosAmong, resultName, samplePhoto } from "./files.js";
import { uploadWith } from "./upload.js";
import { firstPhoto } from "./zip.js";

// A batch runs one of these tasks. For a single photo there is only the first.
const TASKS = {
  anonymize: {
    title: "Hide faces",
    start: "Hide faces in",
    hint: "The preview shows the first photo. Every face is hidden; to keep some visible, choose a single photo.",
  },
  predict: {
    title: "List faces",
    start: "List faces in",
    hint: "You get a ZIP with two tables: results.csv has a row for each face, results.jsonl a line for each photo.",
  },
  enhance: {
    title: "Enlarge photos",
    start: "Enlarge",
    hint: "You get a ZIP with every photo enlarged. That may need ten times the room of your photos.",
  },
};

const RETENTION = "The service keeps the results until you delete them or they expire.";

let files = [];
let firstFile = null;
let keptBoxes = [];

// Counts the selections of files, so that only the last one takes effect.
let selections = 0;

// `revision` counts changes of the options; a preview is outdated once it differs.
let revision = 0;
let preview = null;
let rendering = null;
let previewing = new AbortController();

const status = byId("hide-faces-status");
const errorRegion = byId("hide-faces-error");
const form = byId("hide-faces-form");
const image = byId("hide-faces-photo").querySelector("img");
const layer = byId("hide-faces-photo").querySelector(".faces");
const startButton = byId("hide-faces-start");

/** Select these files in place of the previous ones. */
export async function addFiles(chosen, task = taskOf(options()), scale = form.elements.scale.value) {
  selections += 1;
  const selection = selections;
  // A running batch stays visible below.
  byId("hide-faces-setup").hidden = false;
  showMessage(errorRegion);
  try {
    const photos = await photosAmong(chosen);
    const first = isZip(photos[0]) ? await firstPhoto(photos[0]) : photos[0];
    if (selection === selections) showSelection(photos, first, task, scale);
  } catch (error) {
    if (selection === selections) showMessage(errorRegion, error.message);
  }
}

function showSelection(photos, first, task, scale) {
  previewing.abort();
  previewing = new AbortController();
  files = photos;
  firstFile = first;
  keptBoxes = [];
  byId("hide-faces-drop").classList.add("small");
  byId("hide-faces-chosen").hidden = false;
  byId("hide-faces-task").hidden = byId("hide-faces-task").disabled = isSinglePhoto();
  form.elements.task.value = task;
  form.elements.scale.value = scale;
  showOriginal();
  update();
  showRoom();
}

/** Show how much room the service has for batches, if it has a limit. */
async function showRoom() {
  const room = byId("hide-faces-room");
  room.hidden = true;
  if (isSinglePhoto()) return;
  // Without a response there is no hint. The upload reports the same error.
  const { left_bytes: left } = await request("batches", { as: "json" }).catch(() => ({}));
  room.textContent = `The service has room for ${formatBytes(left ?? 0)} of batches.`;
  room.hidden = left === undefined || isSinglePhoto();
}

const isSinglePhoto = () => files.length === 1 && !isZip(files[0]);

const options = () => Object.fromEntries(new FormData(form));

const taskOf = ({ task }) => task ?? "anonymize";

/** Show texts and preview for the current options. A preview that is being rendered is followed by another. */
function update() {
  const task = taskOf(options());
  const { title, start, hint } = TASKS[task];
  byId("hide-faces-title").textContent = title;
  byId("hide-faces-enlargement").hidden = byId("hide-faces-enlargement").disabled = task !== "enhance";
  byId("hide-faces-lead").hidden = byId("hide-faces-mask").hidden = byId("hide-faces-mask").disabled = task !== "anonymize";
  byId("hide-faces-hint").textContent = isSinglePhoto() ? "Click a face to keep it visible." : `${hint} ${RETENTION}`;
  const many = files.length === 1 ? "all photos" : `${files.length} photos`;
  startButton.textContent = isSinglePhoto() ? "Download photo" : `${start} ${many}`;
  startButton.disabled = false;
  image.alt = firstFile ? `Preview of ${firstFile.name}` : "";
  revision += 1;
  rendering ??= renderPreviews().finally(() => { rendering = null; });
}

async function renderPreviews() {
  let rendered;
  byId("hide-faces-photo").classList.add("busy");
  while (rendered !== revision) {
    rendered = revision;
    preview = await renderPreview(firstFile, previewing.signal);
  }
  byId("hide-faces-photo").classList.remove("busy");
  // Without a preview there is nothing to download. A batch can still succeed with its other photos.
  startButton.disabled = isSinglePhoto() && !preview;
}

/** Show a photo with its faces hidden. Resolves to that photo, or to null after an error or for another task. */
async function renderPreview(photo, signal) {
  const { task, ...query } = options();
  if (!photo || taskOf({ task }) !== "anonymize") {
    showOriginal();
    return null;
  }
  showMessage(status, `${summary()} Hiding faces in ${photo.name} …`);
  if (keptBoxes.length) query.keep = JSON.stringify(keptBoxes);
  try {
    const onWait = (message) => showMessage(status, message);
    const result = await postPhoto("anonymize", photo, { query: { ...query, format: "json" }, as: "json", signal, onWait });
    const anonymized = blobOf(result.picture, result.image.format);
    showImage(image, anonymized);
    await image.decode();
    drawFaces(result);
    const hidden = result.faces.filter((face) => !face.kept).length;
    showMessage(errorRegion);
    showMessage(status, `${summary()} ${hidden} of ${result.faces.length} faces hidden${isSinglePhoto() ? "" : ` in ${photo.name}`}.`);
    return anonymized;
  } catch (error) {
    if (!signal.aborted) {
      showMessage(status, summary());
      showError(errorRegion, photo.name, error, update);
    }
    return null;
  }
}

function showOriginal() {
  layer.replaceChildren();
  showImage(image, firstFile);
  showMessage(status, summary());
  const file = firstFile;
  if (file) canShow(file).then((isShown) => {
    if (isShown || file !== firstFile || layer.childElementCount) return;
    showImage(image);
    showMessage(status, `${summary()} This browser cannot show ${file.name}.`);
  });
}

function drawFaces({ faces, image: size }) {
  const focused = [...layer.children].indexOf(document.activeElement);
  layer.replaceChildren(...faces.map((face, index) => {
    if (!isSinglePhoto()) return placeBox(element("span", { className: "face" }), face.bbox, size);
    const button = element("button", {
      type: "button",
      className: face.kept ? "face kept" : "face",
      ariaLabel: `Keep face ${index + 1} visible`,
      ariaPressed: String(face.kept),
      onclick: () => toggle(face),
    });
    return placeBox(button, face.bbox, size);
  }));
  layer.children[focused]?.focus();
}

function toggle({ bbox, kept }) {
  const others = keptBoxes.filter((box) => String(box) !== String(bbox));
  keptBoxes = kept ? others : [...others, bbox];
  update();
}

function summary() {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const name = files.length === 1 ? files[0].name : `${files.length} files`;
  return `${name}, ${formatBytes(bytes)}.`;
}

/** Download the preview of a photo once it shows the current options. */
async function download([photo]) {
  await rendering;
  if (preview && photo === files[0]) saveFile(preview, resultName(photo, "anonymized", preview));
}

async function submitBatch() {
  const upload = new AbortController();
  byId("hide-faces-setup").hidden = true;
  showEmptyPanel();
  byId("batch-delete").onclick = () => upload.abort();
  byId("batch").focus();
  showMessage(byId("batch-status"), `Sending ${summary()}`);
  const body = new FormData();
  for (const file of files) body.append("files", file, pathOf(file));
  try {
    const { id } = await request("batches", {
      method: "POST",
      body,
      query: options(),
      as: "json",
      signal: upload.signal,
      send: uploadWith(showUploadProgress),
      onWait: (message) => showMessage(byId("batch-status"), message),
    });
    await watchBatch(id);
  } catch (error) {
    if (upload.signal.aborted) startOver();
    else showBatchError(error.message);
  }
}

function startOver() {
  forgetBatch();
  byId("hide-faces-setup").hidden = false;
  byId("batch").hidden = true;
  byId("hide-faces-choose").focus();
  if (files.length) showRoom();
}

function showScale() {
  const scale = byId("hide-faces-scale");
  showValue(scale, `${Number(scale.value).toFixed(1)} × face`);
}

onFilesChosen(byId("hide-faces-choose"), addFiles);
onFilesChosen(byId("hide-faces-folder"), addFiles);
byId("hide-faces-sample").addEventListener("click", () => addFiles(samplePhoto()));
byId("batch-new").addEventListener("click", startOver);
byId("hide-faces-scale").addEventListener("input", showScale);
form.addEventListener("change", update);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (isSinglePhoto()) download(files);
  else submitBatch();
});
showScale();
if (savedBatchId()) {
  byId("hide-faces-setup").hidden = true;
  watchBatch(savedBatchId());
}

import { postPhoto } from "./api.js";
import { blobOf, byId, element, saveFile, showMessage, showValue } from "./elements.js";
import { facesCsv } from "./faces-csv.js";
import { countFaces, shorterSide } from "./faces.js";
import { showError } from "./failure.js";
import { canShow, isZip, onFilesChosen, openAsBatch, photosAmong, samplePhoto } from "./files.js";
import { hideFaces, showFaces } from "./found-faces.js";
import { offerShare } from "./share.js";
import { scaleResult, shrinkPhoto } from "./shrink.js";
import { percent, text } from "./texts.js";
import { takePhoto } from "./webcam.js";

// The lower end of the confidence slider; boxes below it are hardly ever faces. The slider filters without a request.
const MIN_CONFIDENCE = 0.1;

// Longer side in pixels of what is sent, by `detail`. More does not help: at `high` the service searches at up to 8 times
// the 480 pixels of its net, and otherwise it reads photos at half the size from twice 1500 pixels on.
const SENT_SIDES = { fast: 2048, auto: 2048, high: 3840 };

let photos = [];
let current = null;
let working = false;

const status = byId("find-faces-status");
const errorRegion = byId("find-faces-error");
const downloadError = byId("find-faces-download-error");
const image = byId("find-faces-photo").querySelector("img");
const confidence = byId("find-faces-confidence");
const size = byId("find-faces-size");
const detail = byId("find-faces-detail");
const closer = byId("find-faces-closer");
const listButton = byId("find-faces-list");
const photoButton = byId("find-faces-download-photo");
const shareButton = byId("find-faces-share");
const jsonButton = byId("find-faces-download-json");

/** Add photos to the view. A ZIP becomes a batch. */
export async function addFiles(chosen) {
  try {
    const files = await photosAmong(chosen);
    if (files.some(isZip)) await openAsBatch(files, "predict");
    else addPhotos(files);
  } catch (error) {
    showMessage(errorRegion, error.message);
  }
}

export const hasPhotos = () => photos.length > 0;

function addPhotos(files) {
  photos.push(...files.map(newPhoto));
  select(photos.at(-files.length));
  findFacesInAll();
}

function newPhoto(file) {
  const photo = { file, url: URL.createObjectURL(file), state: "waiting" };
  photo.note = element("span");
  photo.button = element(
    "button",
    { type: "button", onclick: () => select(photo) },
    element("img", { loading: "lazy", src: photo.url, alt: "", draggable: false }),
    element("span", {}, file.name),
    photo.note,
  );
  photo.removeButton = element(
    "button",
    { type: "button", className: "remove", ariaLabel: text("remove", { name: file.name }), onclick: () => remove([photo]) },
    "×",
  );
  byId("find-faces-strip").append(element("li", {}, photo.button, photo.removeButton));
  return photo;
}

function remove(removed) {
  const at = photos.indexOf(current);
  for (const photo of removed) {
    photo.request?.abort();
    photo.state = "removed";
    photo.button.parentElement.remove();
    URL.revokeObjectURL(photo.url);
  }
  photos = photos.filter((photo) => !removed.includes(photo));
  if (!photos.length) showNothing();
  else if (removed.includes(current)) select(photos[Math.min(at, photos.length - 1)]);
  else renderStrip();
  // The button that had the focus is gone.
  if (photos.length > 1) current.button.focus();
  else byId("find-faces-choose").focus();
}

function showNothing() {
  current = null;
  renderStrip();
  hideFaces();
  for (const part of ["result", "closer", "note"]) byId(`find-faces-${part}`).hidden = true;
  byId("find-faces-drop").classList.remove("small");
  showMessage(errorRegion);
  showMessage(status);
}

async function findFacesInAll() {
  if (working) return;
  working = true;
  const isWaiting = (photo) => photo?.state === "waiting";
  // The selected photo comes first.
  for (let photo; (photo = [current, ...photos].find(isWaiting)); ) await findFaces(photo);
  working = false;
}

async function findFaces(photo) {
  photo.state = "working";
  photo.request = new AbortController();
  render(photo);
  const { signal } = photo.request;
  try {
    // The annotated picture is shown in place of a photo that the browser cannot show.
    photo.isShown ??= await canShow(photo.file);
    const level = detailOf(photo);
    const { blob, size, sentSize } = await shrinkPhoto(photo.file, SENT_SIDES[level]);
    const query = { annotated: !photo.isShown, min_confidence: MIN_CONFIDENCE, detail: level };
    const onWait = (message) => { photo.waitMessage = message; render(photo); };
    const result = await postPhoto("predict", blob, { query, onWait, signal, as: "json" });
    photo.result = size ? scaleResult(result, size) : result;
    photo.sentSize = sentSize;
    photo.state = "done";
    if (!photo.isShown) replacePreview(photo);
  } catch (error) {
    // An aborted photo waits to be sent again with the new `detail`, or is removed.
    if (!signal.aborted) photo.state = "failed";
    photo.error = error;
  }
  photo.waitMessage = "";
  render(photo);
}

const detailOf = (photo) => (photo.isSearchedClosely ? "high" : detail.value);

/** Send photos again, those in work as well. */
function findAgain(chosen) {
  for (const photo of chosen) {
    photo.request?.abort();
    photo.state = "waiting";
  }
  if (current) render(current);
  findFacesInAll();
}

function replacePreview(photo) {
  URL.revokeObjectURL(photo.url);
  photo.url = URL.createObjectURL(blobOf(photo.result.annotated_jpeg, "JPEG"));
  delete photo.result.annotated_jpeg;
  photo.button.querySelector("img").src = photo.url;
  if (photo === current) image.src = photo.url;
}

function render(photo) {
  renderStrip();
  if (photo === current) renderCurrent();
}

function select(photo) {
  current = photo;
  image.src = photo.url;
  image.alt = text("photo_alt", { name: photo.file.name });
  render(photo);
}

function visibleFaces({ result }) {
  return result.faces.filter((face) => face.confidence >= confidence.value && shorterSide(face) >= size.value);
}

function renderStrip() {
  byId("find-faces-many").hidden = photos.length < 2;
  listButton.disabled = photos.some(({ state }) => state !== "done" && state !== "failed") || !photos.some(({ state }) => state === "done");
  for (const photo of photos) {
    photo.button.ariaCurrent = String(photo === current);
    photo.note.className = photo.state;
    photo.note.textContent = photo.state === "done" ? countFaces(visibleFaces(photo).length) : text(photo.state);
  }
}

function renderCurrent() {
  const { state, result } = current;
  byId("find-faces-drop").classList.add("small");
  byId("find-faces-result").hidden = state === "failed";
  if (state !== "failed") showMessage(errorRegion);
  showMessage(downloadError);
  byId("find-faces-photo").classList.toggle("busy", state !== "done");
  photoButton.disabled = jsonButton.disabled = state !== "done";
  offerShare(shareButton, null);
  hideFaces();
  const { sentSize } = current;
  showMessage(byId("find-faces-note"), state === "done" && sentSize ? text("smaller_copy", sentSize) : "");
  closer.hidden = true;
  if (state === "done") renderFaces(visibleFaces(current), result.image);
  else if (state === "failed") renderError(current);
  else showMessage(status, current.waitMessage || text("searching", { name: current.file.name }));
}

function renderError(photo) {
  showMessage(status);
  showError(errorRegion, photo.file.name, photo.error, () => {
    photo.state = "waiting";
    render(photo);
    findFacesInAll();
  });
}

function renderFaces(faces, photoSize) {
  const count = countFaces(faces.length);
  showFaces(faces, photoSize, count);
  const isThorough = detailOf(current) === "high";
  closer.hidden = faces.length > 0 || isThorough;
  showMessage(status, text(!current.result.faces.length && isThorough ? "none_at_all" : "found", { name: current.file.name, faces: count }));
}

function filter() {
  showValue(confidence, percent(confidence.value));
  showValue(size, text("pixels", { count: Number(size.value) }));
  if (current) render(current);
}

async function download(button, suffix, create) {
  const photo = current;
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  showMessage(downloadError);
  try {
    const blob = await create(photo);
    const name = photo.file.name.replace(/\.\w+$/, "") + suffix;
    showMessage(downloadError);
    saveFile(blob, name);
    if (photo === current && button === photoButton) offerShare(shareButton, blob, name);
  } catch (error) {
    showMessage(downloadError, error.message);
  }
  button.ariaBusy = null;
}

const annotatedPhoto = (photo) => postPhoto("analyze", photo.file, {
  query: { min_confidence: confidence.value, min_face_size: size.value, detail: detailOf(photo) },
  as: "blob",
  onWait: (message) => showMessage(downloadError, message),
});

const asJson = (photo) =>
  new Blob([JSON.stringify({ ...photo.result, faces: visibleFaces(photo) }, null, 1)], { type: "application/json" });

/** Download a table of the faces in all photos, from the answers at hand. */
function listFaces() {
  const done = photos.filter(({ state }) => state === "done");
  saveFile(facesCsv(done.map((photo) => [photo.file.name, visibleFaces(photo)])), "faces.csv");
  const failed = photos.length - done.length;
  if (failed) showMessage(status, text("not_in_table", { count: failed }));
}

async function addFromCamera() {
  // On phones the system's camera app takes better photos.
  if (matchMedia("(pointer: coarse)").matches || !navigator.mediaDevices) {
    byId("find-faces-capture").click();
    return;
  }
  const photo = await takePhoto();
  if (photo) addFiles([photo]);
}

onFilesChosen(byId("find-faces-choose"), addFiles);
onFilesChosen(byId("find-faces-capture"), addFiles);
byId("find-faces-sample").addEventListener("click", () => addFiles(samplePhoto()));
byId("find-faces-take-photo").addEventListener("click", addFromCamera);
confidence.addEventListener("input", filter);
size.addEventListener("input", filter);
detail.addEventListener("change", () => {
  for (const photo of photos) photo.isSearchedClosely = false;
  findAgain(photos);
});
closer.querySelector("button").addEventListener("click", () => {
  current.isSearchedClosely = true;
  byId("find-faces-title").focus({ preventScroll: true });
  findAgain([current]);
});
listButton.addEventListener("click", listFaces);
byId("find-faces-remove").addEventListener("click", () => remove(photos));
photoButton.addEventListener("click", () => download(photoButton, "-faces.jpg", annotatedPhoto));
jsonButton.addEventListener("click", () => download(jsonButton, "-faces.json", asJson));
filter();

import { request } from "./api.js";
import {
  forgetBatch, formatBytes, showBatchError, showEmptyPanel, shownBatch, showUploadProgress, watchBatch,
} from "./batch.js";
import { correctFile, endCorrection, isCorrecting, saveCorrection } from "./batch-correction.js";
import { byId, element, saveFile, showMessage } from "./elements.js";
import { showError } from "./failure.js";
import { divideFiles, isZip, onFilesChosen, pathOf, resultName, samplePhoto } from "./files.js";
import { countHidden, describeHidden, isReady, maskParameters, openPhoto, sendPhoto, showMasks } from "./photo-editor.js";
import { ask } from "./question.js";
import { offerShare } from "./share.js";
import { text } from "./texts.js";
import { uploadWith } from "./upload.js";
import { firstPhoto } from "./zip.js";

// The texts of each task of a batch: its title, the button for some photos and for all, and a hint. For a single photo
// there is only the first task.
const TASKS = {
  anonymize: { title: "hide_faces", start: "hide_faces_in", startAll: "hide_faces_in_all", hint: "hide_hint" },
  predict: { title: "list_faces", start: "list_faces_in", startAll: "list_faces_in_all", hint: "list_hint" },
  enhance: { title: "enlarge_photos", start: "enlarge_count", startAll: "enlarge_all", hint: "enlarge_hint" },
};

let files = [];
let firstFile = null;
// Other files that were chosen with the photos: those with boxes, and the paths of those that are left out.
let boxFiles = [];
let leftOut = [];

// What was sent in this tab, by the ID of the batch: the files and the parameters.
const sent = new Map();

// Counts the selections of files, so that only the last one takes effect.
let selections = 0;
let opened = new AbortController();
let isSending = false;

const status = byId("hide-faces-status");
const errorRegion = byId("hide-faces-error");
const form = byId("hide-faces-form");
const startButton = byId("hide-faces-start");
const shareButton = byId("hide-faces-share");

/** Select these files in place of the previous ones. */
export async function addFiles(chosen, task = currentTask(), scale = form.elements.scale.value) {
  selections += 1;
  const selection = selections;
  // A running batch stays visible below.
  endCorrection();
  byId("hide-faces-setup").hidden = false;
  showMessage(errorRegion);
  try {
    const divided = await divideFiles(chosen);
    const [first] = divided.photos;
    const preview = isZip(first) ? await firstPhoto(first) : first;
    if (selection === selections) showSelection(divided, preview, task, scale);
  } catch (error) {
    if (selection === selections) showMessage(errorRegion, error.message);
  }
}

/** Whether there are photos that a reload would lose. A batch that was sent is in the address. */
export const hasPhotos = () => isSending || (files.length > 0 && !byId("hide-faces-chosen").hidden && !byId("hide-faces-setup").hidden);

function showSelection(divided, first, task, scale) {
  ({ photos: files, faces: boxFiles, leftOut } = divided);
  firstFile = first;
  byId("hide-faces-drop").classList.add("small");
  byId("hide-faces-chosen").hidden = false;
  byId("hide-faces-task").hidden = byId("hide-faces-task").disabled = isSinglePhoto();
  form.elements.task.value = task;
  form.elements.scale.value = scale;
  openFirst();
  showRoom();
  showLeftOut();
}

function showLeftOut() {
  const region = byId("hide-faces-left-out");
  region.hidden = !leftOut.length;
  region.querySelector("summary").textContent = text("not_photos", { count: leftOut.length });
  region.querySelector("ul").replaceChildren(...leftOut.map((path) => element("li", {}, path)));
}

/** Open the only photo, or the first one as a preview. */
function openFirst() {
  opened.abort();
  opened = new AbortController();
  const options = { signal: opened.signal, editable: isSinglePhoto(), masks: currentTask() === "anonymize" };
  openPhoto(firstFile, { ...options, onChange: update, onWait: (message) => showMessage(status, message), onError: showFailure });
  update();
}

/** Show how much room the service has for batches, if it has a limit. */
async function showRoom() {
  const room = byId("hide-faces-room");
  room.hidden = true;
  if (isSinglePhoto()) return;
  // Without a response there is no hint. The upload reports the same error.
  const { left_bytes: left } = await request("batches", { as: "json" }).catch(() => ({}));
  room.textContent = text("room", { bytes: formatBytes(left ?? 0) });
  room.hidden = left === undefined || isSinglePhoto();
}

const isSinglePhoto = () => files.length === 1 && !isZip(files[0]);

const currentTask = () => new FormData(form).get("task") ?? "anonymize";

/** Show the texts for what is chosen and hidden now. */
function update() {
  const task = currentTask();
  const { title, start, startAll, hint } = TASKS[task];
  byId("hide-faces-title").textContent = text(title);
  byId("hide-faces-enlargement").hidden = byId("hide-faces-enlargement").disabled = task !== "enhance";
  byId("hide-faces-lead").hidden = byId("hide-faces-mask").hidden = byId("hide-faces-mask").disabled = task !== "anonymize";
  byId("hide-faces-hint").textContent = isSinglePhoto() ? text("single_hint") : `${text(hint)} ${text("retention")}`;
  const many = files.length === 1 ? text(startAll) : text(start, { count: files.length });
  startButton.textContent = isSinglePhoto() ? text("download_photo") : many;
  startButton.disabled = isSinglePhoto() && !isReady();
  // The file that was made is not what is shown now.
  offerShare(shareButton, null);
  showMessage(errorRegion);
  showMessage(status, `${summary()} ${outcome(task)}`.trim());
}

function outcome(task) {
  if (task !== "anonymize" || !firstFile) return "";
  if (!isReady()) return text("finding", { name: firstFile.name });
  const { faces, hidden } = countHidden();
  return isSinglePhoto() ? describeHidden() : text("hidden_in", { hidden, faces, name: firstFile.name });
}

function showFailure(error, retry) {
  showMessage(status, summary());
  showError(errorRegion, firstFile.name, error, () => {
    update();
    retry();
  });
}

function summary() {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const name = files.length === 1 ? files[0].name : text("count_files", { count: files.length });
  return text("summary", { files: name, bytes: formatBytes(bytes) });
}

/** Let the service make the file that the preview shows, and download it. */
async function download() {
  const { name } = firstFile;
  startButton.disabled = true;
  showMessage(errorRegion);
  showMessage(status, text("making"));
  try {
    const blob = await (await sendPhoto("anonymize", "POST", (message) => showMessage(status, message))).blob();
    const result = resultName(firstFile, "anonymized", blob);
    saveFile(blob, result);
    update();
    offerShare(shareButton, blob, result);
  } catch (error) {
    if (opened.signal.aborted) return;
    update();
    showError(errorRegion, name, error, download);
  }
}

async function submitBatch() {
  const upload = new AbortController();
  const task = currentTask();
  byId("hide-faces-setup").hidden = true;
  showEmptyPanel();
  byId("batch-delete").onclick = async () => {
    if (await ask(text("stop_sending"), text("stop"))) upload.abort();
  };
  byId("batch").focus();
  showMessage(byId("batch-status"), text("sending_files", { files: summary() }));
  const body = new FormData();
  const hides = task === "anonymize";
  for (const file of hides ? [...files, ...boxFiles] : files) body.append("files", file, pathOf(file));
  const batch = { files, parameters: maskParameters(), notSent: leftOut };
  isSending = true;
  try {
    const { id } = await request("batches", {
      method: "POST",
      body,
      query: { task, ...(hides ? batch.parameters : {}), ...(task === "enhance" ? { scale: form.elements.scale.value } : {}) },
      as: "json",
      signal: upload.signal,
      send: uploadWith(showUploadProgress, { guarded: true }),
      onWait: (message) => showMessage(byId("batch-status"), message),
    });
    sent.set(id, batch);
    isSending = false;
    await watch(id);
  } catch (error) {
    if (upload.signal.aborted) startOver();
    else showBatchError(error.message);
  } finally {
    isSending = false;
  }
}

const watch = (id) => watchBatch(id, { notSent: sent.get(id)?.notSent, onOpen: (file) => correctFile(id, file, sent.get(id)) });

/** Show the batch with this ID, or without one what comes before a batch. */
export function openBatch(id) {
  if (isSending) return;
  if (id && id !== shownBatch()) {
    endCorrection();
    byId("hide-faces-setup").hidden = true;
    watch(id);
  } else if (!id && shownBatch()) {
    endCorrection();
    startOver();
  }
}

function startOver() {
  forgetBatch();
  byId("hide-faces-setup").hidden = false;
  byId("batch").hidden = true;
  byId("hide-faces-choose").focus();
  if (files.length) showRoom();
}

onFilesChosen(byId("hide-faces-choose"), addFiles);
onFilesChosen(byId("hide-faces-folder"), addFiles);
byId("hide-faces-sample").addEventListener("click", () => addFiles(samplePhoto()));
byId("batch-new").addEventListener("click", startOver);
byId("hide-faces-task").addEventListener("change", () => {
  update();
  showMasks(currentTask() === "anonymize");
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (isCorrecting()) saveCorrection();
  else if (isSinglePhoto()) download();
  else submitBatch();
});

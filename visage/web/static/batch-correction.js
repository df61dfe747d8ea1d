import { request } from "./api.js";
import { showCorrectedFile } from "./batch.js";
import { byId, showMessage } from "./elements.js";
import { showError } from "./failure.js";
import { onFilesChosen } from "./files.js";
import { originalOf } from "./originals.js";
import { describeHidden, isChanged, isReady, openPhoto, photoSize, sendPhoto, setMaskParameters } from "./photo-editor.js";
import { ask } from "./question.js";
import { text } from "./texts.js";

const status = byId("hide-faces-status");
const errorRegion = byId("hide-faces-error");
const startButton = byId("hide-faces-start");

// The file of a batch that is corrected: the batch's ID, its number and name, and the size of its result if known.
let corrected = null;
let opened = new AbortController();

export const isCorrecting = () => corrected !== null;

/**
 * Open a file of a finished batch, to correct its result. `sent` has the `files` of the batch and its `parameters`, if
 * this tab has sent it.
 */
export async function correctFile(id, file, sent) {
  corrected = { id, ...file };
  showParts({ isCorrecting: true });
  if (sent) setMaskParameters(sent.parameters);
  byId("hide-faces-title").focus();
  const original = sent && (await originalOf(sent.files, file));
  if (original) await openOriginal(original);
  else await askForOriginal();
}

/** Let the service hide what is shown, and put the photo in place of the old result. */
export async function saveCorrection() {
  const { id, number, name } = corrected;
  startButton.disabled = true;
  showMessage(errorRegion);
  showMessage(status, text("saving"));
  try {
    const onWait = (message) => showMessage(status, message);
    const file = await (await sendPhoto(`batches/${id}/files/${number}`, "PUT", onWait)).json();
    endCorrection();
    showCorrectedFile({ ...file, number });
  } catch (error) {
    if (opened.signal.aborted) return;
    update();
    showError(errorRegion, name, error, saveCorrection);
  }
}

/** Return from a file to its batch. */
export function endCorrection() {
  if (!corrected) return;
  corrected = null;
  opened.abort();
  openPhoto(null, { signal: opened.signal });
  showMessage(errorRegion);
  showMessage(status);
  showParts({ isCorrecting: false });
}

async function openOriginal(original) {
  byId("hide-faces-original").hidden = true;
  await open(original, { editable: true });
  const { name, size } = corrected ?? {};
  if (size && (size.width !== photoSize()?.width || size.height !== photoSize()?.height)) {
    await askForOriginal();
    showMessage(errorRegion, text("other_photo", { name }));
  }
}

/** Show the result of a file, and ask for its original, which is not in this tab. */
async function askForOriginal() {
  const { id, number, name } = corrected;
  byId("hide-faces-original").hidden = false;
  startButton.disabled = true;
  opened.abort();
  opened = new AbortController();
  const { signal } = opened;
  try {
    const result = await request(`batches/${id}/files/${number}`, { as: "blob", signal });
    await open(new File([result], name), { masks: false });
    showMessage(status, text("choose_original", { name }));
    startButton.disabled = true;
    corrected = { ...corrected, size: photoSize() };
  } catch (error) {
    if (!signal.aborted) showMessage(errorRegion, error.message);
  }
}

function open(photo, options) {
  opened.abort();
  opened = new AbortController();
  const shown = openPhoto(photo, {
    signal: opened.signal,
    onChange: update,
    onWait: (message) => showMessage(status, message),
    onError: (error, retry) => showError(errorRegion, corrected.name, error, retry),
    ...options,
  });
  update();
  return shown;
}

function update() {
  if (!corrected) return;
  const { name } = corrected;
  startButton.disabled = !isReady();
  showMessage(errorRegion);
  showMessage(status, isReady() ? text("status", { name, text: describeHidden() }) : text("finding", { name }));
}

async function leave() {
  if (isChanged() && !(await ask(text("discard"), text("leave")))) return;
  const { number } = corrected;
  endCorrection();
  byId("batch-photos").querySelector(`[data-number="${number}"]`)?.focus();
}

/** Show the photo in place of the batch, or the other way round. */
function showParts({ isCorrecting: isShown }) {
  byId("batch").hidden = byId("hide-faces-drop").hidden = isShown;
  byId("hide-faces-setup").hidden = byId("hide-faces-chosen").hidden = byId("hide-faces-back").hidden = !isShown;
  byId("hide-faces-task").disabled = true;
  byId("hide-faces-mask").disabled = false;
  for (const part of ["task", "original", "left-out", "room"]) byId(`hide-faces-${part}`).hidden = true;
  byId("hide-faces-mask").hidden = false;
  byId("hide-faces-hint").textContent = text("save_hint");
  startButton.textContent = text("save_photo");
}

byId("hide-faces-back").addEventListener("click", leave);
onFilesChosen(byId("hide-faces-choose-original"), ([original]) => openOriginal(original));

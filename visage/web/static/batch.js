import { authorization } from "./access-token.js";
import { request, sleep } from "./api.js";
import { hiddenIn, hideReview, showCorrected, showReview } from "./batch-review.js";
import { byId, element, saveFile, showMessage } from "./elements.js";
import { countFaces } from "./faces.js";
import { ask } from "./question.js";
import { serverSentEvents } from "./server-sent-events.js";

// The service tells browsers the same delay in its event stream.
const RECONNECT_SECONDS = 2;

// Requests for the file list take at most this share of the time, and come at most once a second.
const FILE_LIST_SHARE = 0.1;

// The rate is the mean over this time, or over this number of progress events if they take longer.
const RATE_SECONDS = 30;
const RATE_EVENTS = 10;

const TEXTS = {
  done: ({ done, none, leftOut }) => `${done} done, ${none} without a face, ${leftOut} left out.`,
  enlarged: ({ done, leftOut }) => `${done} done, ${leftOut} left out.`,
  kept: (until) => `The service keeps them until ${until}.`,
  notSent: "not a photo, and not sent",
  deleteDone: "Delete this batch with all its results from the service?",
  deleteRunning: "Stop this batch, and delete its photos and results from the service?",
  delete: "Delete",
  deleted: "The batch and all of its files were deleted.",
};

const status = byId("batch-status");
const bar = byId("batch-progress");
const errorRegion = byId("batch-error");

let watching = new AbortController();
let isDone = false;

// The batch that is shown: its ID, its files as the service lists them, and the names that were not sent.
let shown = { id: "", files: [], notSent: [] };

/** The ID of the batch that is shown; empty without one. */
export const shownBatch = () => shown.id;

/** Show no batch any more. */
export function forgetBatch() {
  watching.abort();
  hideReview();
  shown = { id: "", files: [], notSent: [] };
  setAddress("#hide-faces");
}

/** Show the new result of a file of the batch. */
export function showCorrectedFile(file) {
  shown.files = shown.files.map((each) => (each.number === file.number ? file : each));
  showSummary();
  showCorrected(file);
}

/**
 * Show the progress of a batch until it ends. `notSent` are names of files that were left out. When faces were hidden,
 * the user can open a file, and `onOpen` is called with it.
 */
export async function watchBatch(id, { notSent = [], onOpen }) {
  shown = { id, files: [], notSent, onOpen };
  setAddress(`#hide/${id}`);
  const signal = showEmptyPanel();
  byId("batch-delete").onclick = () => deleteBatch(id);
  byId("batch-download").onclick = () => downloadResult(id);
  keepListingFiles(id, signal);
  const samples = [];
  while (!signal.aborted) {
    try {
      const response = await request(`batches/${id}/events`, { signal, onWait: (message) => showMessage(status, message) });
      for await (const { event, data } of serverSentEvents(response)) {
        showMessage(errorRegion);
        showProgress(data, samples);
        if (event === "end") return showEnd(data);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.code === "batch_not_found") return showGone(error.message);
      // While the service restarts, a proxy may respond with a 5xx status.
      if (error.status && error.status < 500) return showBatchError(error.message);
      showMessage(errorRegion, "The service does not respond, or the connection is lost. The batch continues as soon as possible.");
    }
    await sleep(RECONNECT_SECONDS);
  }
}

/** Reset the panel for a new batch. Returns a signal that is aborted when the panel shows something else. */
export function showEmptyPanel() {
  watching.abort();
  watching = new AbortController();
  isDone = false;
  hideReview();
  byId("batch").hidden = false;
  byId("batch-title").textContent = "Batch";
  bar.removeAttribute("value");
  hide("batch-count", "batch-rate", "batch-error", "batch-failed", "batch-files", "batch-download", "batch-new", "batch-until");
  byId("batch-delete").hidden = false;
  byId("batch-delete").textContent = "Stop and delete";
  showMessage(status);
  return watching.signal;
}

/** Show how much of a batch has been uploaded. */
export function showUploadProgress(bytes, total) {
  bar.max = total;
  bar.value = bytes;
  byId("batch-rate").hidden = false;
  byId("batch-rate").textContent = `${formatBytes(bytes)} of ${formatBytes(total)} sent`;
}

export function formatBytes(bytes) {
  if (bytes < 1e5) return `${Math.ceil(bytes / 1000)} KB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Show an error that a retry does not fix, and stop watching. */
export function showBatchError(message) {
  watching.abort();
  showMessage(status);
  showMessage(errorRegion, message);
  hide("batch-count", "batch-rate", "batch-delete");
  byId("batch-new").hidden = false;
}

function hide(...ids) {
  for (const id of ids) byId(id).hidden = true;
}

function showProgress({ total, done, failed, state }, samples) {
  if (total === undefined) return;
  const finished = done + failed;
  bar.max = total;
  bar.value = finished;
  // Outside the live region, so that screen readers do not announce every photo.
  showMessage(byId("batch-count"), `${finished} of ${total} photos${failures(failed)}.`);
  showMessage(status, state === "waiting" ? "Waiting for other batches." : "In progress.");
  showRate(samples, finished, total);
}

function showRate(samples, finished, total) {
  const now = performance.now() / 1000;
  samples.push({ now, finished });
  while (samples.length > RATE_EVENTS && now - samples[0].now > RATE_SECONDS) samples.shift();
  const [first] = samples;
  const rate = (finished - first.finished) / (now - first.now);
  byId("batch-rate").hidden = !(rate > 0);
  if (rate > 0) {
    const text = rate < 1 ? `${(60 * rate).toFixed(1)} photos a minute` : `${rate.toFixed(1)} photos a second`;
    byId("batch-rate").textContent = `${text}, ${formatDuration((total - finished) / rate)} left`;
  }
}

const failures = (failed) => (failed ? `, ${failed} failed` : "");

function formatDuration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} seconds`;
  if (seconds < 5400) return `${Math.ceil(seconds / 60)} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}

async function showEnd({ id, task, state, total, done, failed, reason, expires }) {
  if (state === "cancelled") return showGone("This batch was deleted.");
  bar.max = total;
  bar.value = done + failed;
  hide("batch-count", "batch-rate");
  byId("batch-new").hidden = false;
  byId("batch-delete").textContent = "Delete from the service";
  byId("batch-download").hidden = state !== "done";
  if (state === "failed") showMessage(errorRegion, reason);
  byId("batch-title").textContent = state === "done" ? "Done" : "Failed";
  isDone = state === "done";
  const until = new Date(expires).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  showMessage(byId("batch-until"), TEXTS.kept(until));
  // Replace a pending request for the file list, which may return the state before the end.
  watching.abort();
  watching = new AbortController();
  await listFiles(id, watching.signal);
  if (shown.id !== id) return;
  shown.task = task;
  showSummary();
  if (isDone && task === "anonymize") showReview(id, shown.files.filter(isResult), shown.onOpen);
}

const isResult = (file) => file.state === "done";

/** Show how many photos are done, how many of them have no face, and what was left out. */
function showSummary() {
  const results = shown.files.filter(isResult);
  const none = results.filter((file) => !hiddenIn(file)).length;
  const leftOut = shown.files.length - results.length + shown.notSent.length;
  const text = shown.task === "enhance" ? TEXTS.enlarged : TEXTS.done;
  showMessage(status, text({ done: results.length, none, leftOut }));
}

function showGone(message) {
  const hadFocus = byId("batch").contains(document.activeElement);
  watching.abort();
  forgetBatch();
  byId("batch-title").textContent = "No batch";
  hide("batch-count", "batch-rate", "batch-delete", "batch-download", "batch-error", "batch-until", "batch-failed", "batch-files");
  byId("batch-new").hidden = false;
  bar.value = 0;
  showMessage(status, message);
  // The focused button may be hidden now.
  if (hadFocus) byId("batch-new").focus();
}

async function keepListingFiles(id, signal) {
  while (!signal.aborted) {
    const started = performance.now();
    await listFiles(id, signal);
    const seconds = (performance.now() - started) / 1000;
    await sleep(Math.max(1, seconds / FILE_LIST_SHARE), signal).catch(() => {});
  }
}

async function listFiles(id, signal) {
  let files;
  try {
    ({ files } = await request(`batches/${id}`, { as: "json", signal }));
  } catch {
    // The event stream reports the same error.
    return;
  }
  if (signal.aborted) return;
  shown.files = files.map((file, index) => ({ ...file, number: index + 1 }));
  const notSent = shown.notSent.map((name) => ({ name, error: TEXTS.notSent }));
  showFiles(byId("batch-files"), files);
  showFiles(byId("batch-failed"), [...files.filter(({ error }) => error), ...notSent]);
}

function showFiles(region, files) {
  region.hidden = !files.length;
  const list = region.querySelector("ul");
  while (list.children.length > files.length) list.lastChild.remove();
  files.forEach((file, index) => {
    const row = list.children[index] ?? list.appendChild(element("li", {}, element("span"), " ", element("span", { className: "outcome" })));
    [file.name, outcomeOf(file)].forEach((text, column) => {
      const cell = row.children[column];
      if (cell.textContent !== text) cell.textContent = text;
    });
  });
}

function outcomeOf({ state, faces, error }) {
  if (error) return error;
  if (state !== "done") return state;
  return faces === undefined ? "done" : countFaces(faces);
}

async function deleteBatch(id) {
  if (!(await ask(isDone ? TEXTS.deleteDone : TEXTS.deleteRunning, TEXTS.delete))) return;
  try {
    await request(`batches/${id}`, { method: "DELETE" });
  } catch (error) {
    if (error.code !== "batch_not_found") {
      showMessage(errorRegion, error.message);
      return;
    }
  }
  showGone(TEXTS.deleted);
}

/** Put the batch into the page's address, so that a reload, a bookmark and another tab show it. */
function setAddress(hash) {
  byId("nav-hide-faces").hash = hash;
  const { hash: current } = location;
  if (current !== hash && (current === "#hide-faces" || current.startsWith("#hide/"))) history.pushState(null, "", hash);
}

async function downloadResult(id) {
  const url = `batches/${id}/result.zip`;
  try {
    if ("Authorization" in authorization()) {
      saveFile(await request(url, { as: "blob" }), "result.zip");
    } else {
      // The browser can download gigabytes from a link, but shows no errors. So check first that the batch exists.
      await request(`batches/${id}`, { query: { files: false } });
      saveFile(url, "result.zip");
    }
  } catch (error) {
    if (error.code === "batch_not_found") showGone(error.message);
    else showMessage(errorRegion, error.message);
  }
}

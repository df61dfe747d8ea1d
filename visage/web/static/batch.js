import { countDown, request, sleep } from "./api.js";
import { hiddenIn, hideReview, showCorrected, showReview } from "./batch-review.js";
import { byId, element, saveFile, showMessage } from "./elements.js";
import { countFaces } from "./faces.js";
import { ask } from "./question.js";
import { serverSentEvents } from "./server-sent-events.js";
import { decimal, duration, errorText, lang, text } from "./texts.js";
import { authorization } from "./token.js";

// The service tells browsers the same delay in its event stream.
const RECONNECT_SECONDS = 2;

// The delay while the service does not respond, with a countdown.
const LOST_SECONDS = 5;

// Requests for the file list take at most this share of the time, and come at most once a second.
const FILE_LIST_SHARE = 0.1;

// The rate is the mean over this time, or over this number of progress events if they take longer.
const RATE_SECONDS = 30;
const RATE_EVENTS = 10;

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
      const response = await request(`batches/${id}/events`, { signal });
      for await (const { event, data } of serverSentEvents(response)) {
        showMessage(errorRegion);
        showProgress(data, samples);
        if (event === "end") return showEnd(data);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.code === "batch_not_found") return showGone(error.message);
      // While the service restarts, a proxy may respond with a 5xx status.
      if (error.status && error.status < 500 && error.status !== 429) return showBatchError(error.message);
      await countDown(LOST_SECONDS, (count) => showMessage(errorRegion, text("batch_continues", { count })), signal).catch(() => {});
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
  byId("batch-title").textContent = text("batch");
  bar.removeAttribute("value");
  hide("batch-count", "batch-rate", "batch-error", "batch-failed", "batch-files", "batch-download", "batch-new", "batch-until");
  byId("batch-delete").hidden = false;
  byId("batch-delete").textContent = text("stop_and_delete");
  showMessage(status);
  return watching.signal;
}

/** Show how much of a batch has been uploaded. */
export function showUploadProgress(bytes, total) {
  bar.max = total;
  bar.value = bytes;
  byId("batch-rate").hidden = false;
  byId("batch-rate").textContent = text("bytes_sent", { sent: formatBytes(bytes), total: formatBytes(total) });
}

export function formatBytes(bytes) {
  if (bytes < 1e5) return text("kilobytes", { count: Math.ceil(bytes / 1000) });
  return bytes < 1e9 ? text("megabytes", { count: decimal(bytes / 1e6, 1) }) : text("gigabytes", { count: decimal(bytes / 1e9, 1) });
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
  showMessage(byId("batch-count"), text(failed ? "progress_failed" : "progress", { finished, failed, count: total }));
  showMessage(status, text(state === "waiting" ? "batch_waiting" : "batch_working"));
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
    const time = duration((total - finished) / rate);
    const values = { rate: decimal(rate < 1 ? 60 * rate : rate, 1), time };
    byId("batch-rate").textContent = text(rate < 1 ? "rate_minute" : "rate_second", values);
  }
}

async function showEnd({ id, task, state, total, done, failed, reason, expires }) {
  if (state === "cancelled") return showGone(text("was_deleted"));
  bar.max = total;
  bar.value = done + failed;
  hide("batch-count", "batch-rate");
  byId("batch-new").hidden = false;
  byId("batch-delete").textContent = text("delete_from_service");
  byId("batch-download").hidden = state !== "done";
  if (state === "failed") showMessage(errorRegion, reason);
  byId("batch-title").textContent = text(state === "done" ? "batch_done" : "batch_failed");
  isDone = state === "done";
  const until = new Date(expires).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });
  showMessage(byId("batch-until"), text("kept_until", { until }));
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
  const summary = shown.task === "enhance" ? "enlarged_summary" : "done_summary";
  showMessage(status, text(summary, { done: results.length, none, left_out: leftOut }));
}

function showGone(message) {
  const hadFocus = byId("batch").contains(document.activeElement);
  watching.abort();
  forgetBatch();
  byId("batch-title").textContent = text("no_batch");
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
  const notSent = shown.notSent.map((name) => ({ name, error: text("not_sent") }));
  showFiles(byId("batch-files"), files);
  showFiles(byId("batch-failed"), [...files.filter(({ error }) => error), ...notSent]);
}

function showFiles(region, files) {
  region.hidden = !files.length;
  const list = region.querySelector("ul");
  while (list.children.length > files.length) list.lastChild.remove();
  files.forEach((file, index) => {
    const row = list.children[index] ?? list.appendChild(element("li", {}, element("span"), " ", element("span", { className: "outcome" })));
    [file.name, outcomeOf(file)].forEach((content, column) => {
      const cell = row.children[column];
      if (cell.textContent !== content) cell.textContent = content;
    });
  });
}

function outcomeOf({ state, faces, error, code }) {
  if (error) return errorText(code, error);
  return state === "done" && faces !== undefined ? countFaces(faces) : text(`state_${state}`);
}

async function deleteBatch(id) {
  if (!(await ask(text(isDone ? "delete_done" : "delete_running"), text("delete")))) return;
  try {
    await request(`batches/${id}`, { method: "DELETE" });
  } catch (error) {
    if (error.code !== "batch_not_found") {
      showMessage(errorRegion, error.message);
      return;
    }
  }
  showGone(text("deleted"));
}

/** Put the batch into the page's address, so that a reload, a bookmark and another tab show it. */
function setAddress(hash) {
  byId("nav-hide-faces").hash = hash;
  const { hash: current } = location;
  if (current !== hash && (current === "#hide-faces" || current.startsWith("#hide/"))) history.pushState(null, "", hash);
}

/** The file name that the service gives a response, as werkzeug writes it: in ASCII, or in UTF-8 behind `filename*`. */
function attachmentName(response) {
  const header = response.headers.get("Content-Disposition") ?? "";
  const encoded = /filename\*=UTF-8''([^;]+)/.exec(header)?.[1];
  return encoded ? decodeURIComponent(encoded) : (/filename="?([^";]+)/.exec(header)?.[1] ?? "result.zip");
}

async function downloadResult(id) {
  const url = `batches/${id}/result.zip`;
  try {
    if ("Authorization" in authorization()) {
      const response = await request(url);
      saveFile(await response.blob(), attachmentName(response));
    } else {
      // The browser can download gigabytes from a link, but shows no errors. So check first that the batch exists.
      await request(`batches/${id}`, { query: { files: false } });
      saveFile(url, "");
    }
  } catch (error) {
    if (error.code === "batch_not_found") showGone(error.message);
    else showMessage(errorRegion, error.message);
  }
}

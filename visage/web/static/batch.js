import { call, pause } from "./api.js";
import { byId, element, save, say } from "./elements.js";
import { serverSentEvents } from "./events.js";
import { authorization } from "./token.js";

const KEPT_AS = "visage-batch";

// Seconds before a stream of events that ended is asked for again, as the service asks of browsers.
const AGAIN = 2;

// Files are asked for as often as takes this part of the time, and not more than once a second.
const FILES_SHARE = 0.1;

// The pace is taken over so many seconds, or changes where these take longer.
const PACE_SECONDS = 30;
const PACE_CHANGES = 10;

const DONE = { anonymize: "covered", predict: "looked at", enhance: "enlarged" };

const status = byId("batch-status");
const bar = byId("batch-progress");

/** The batch that this tab was last shown, so that a reload finds it again. */
export const known = () => sessionStorage.getItem(KEPT_AS);

export const forget = () => sessionStorage.removeItem(KEPT_AS);

let watching = new AbortController();

/** Show how a batch goes on until it has ended; the photos' progress replaces that of the upload. */
export async function watch(id) {
  sessionStorage.setItem(KEPT_AS, id);
  const signal = show();
  byId("batch-delete").onclick = () => drop(id);
  byId("batch-download").onclick = () => download(id);
  showFiles(id, signal);
  const samples = [];
  while (!signal.aborted) {
    try {
      const answer = await call(`batches/${id}/events`, { signal, onWait: (sentence) => say(status, sentence) });
      for await (const { event, data } of serverSentEvents(answer)) {
        say(byId("batch-trouble"));
        showProgress(data, samples);
        if (event === "end") return ended(data);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.code === "batch_not_found") return gone(error.message);
      // What stands before the service may answer for it while it is started again.
      if (error.status && error.status < 500) return refused(error.message);
      say(byId("batch-trouble"), "The service does not answer, or the connection is cut off. The batch goes on as soon as it can.");
    }
    await pause(AGAIN);
  }
}

/** Make room for a batch that is about to be sent or watched, in place of the one before; the signal says until when. */
export function show() {
  watching.abort();
  watching = new AbortController();
  byId("guard-batch").hidden = false;
  byId("batch-title").textContent = "Batch";
  bar.removeAttribute("value");
  for (const name of ["batch-count", "batch-pace", "batch-trouble", "batch-failed", "batch-files", "batch-download", "batch-new"]) {
    byId(name).hidden = true;
  }
  byId("batch-delete").hidden = false;
  byId("batch-delete").textContent = "Stop and delete";
  say(status);
  return watching.signal;
}

/** Show how many of a batch's bytes have been sent. */
export function showSent(bytes, total) {
  bar.max = total;
  bar.value = bytes;
  byId("batch-pace").hidden = false;
  byId("batch-pace").textContent = `${megabytes(bytes)} of ${megabytes(total)} sent`;
}

export const megabytes = (bytes) => (bytes < 1e5 ? `${Math.ceil(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`);

function showProgress({ total, done, failed, state }, samples) {
  if (total === undefined) return;
  bar.max = total;
  bar.value = done + failed;
  const failures = failed ? `, ${failed} failed` : "";
  // Beside the live region, which would speak without end.
  say(byId("batch-count"), `${done + failed} of ${total} photos${failures}.`);
  say(status, state === "waiting" ? "Waiting for others." : "Under way.");
  const now = performance.now() / 1000;
  samples.push({ now, count: done + failed });
  while (samples.length > PACE_CHANGES && now - samples[0].now > PACE_SECONDS) samples.shift();
  const [first] = samples;
  const pace = (done + failed - first.count) / (now - first.now);
  byId("batch-pace").hidden = !(pace > 0);
  if (pace > 0) {
    const left = (total - done - failed) / pace;
    const rate = pace < 1 ? `${(60 * pace).toFixed(1)} photos a minute` : `${pace.toFixed(1)} photos a second`;
    byId("batch-pace").textContent = `${rate}, ${duration(left)} left`;
  }
}

function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} seconds`;
  if (seconds < 5400) return `${Math.ceil(seconds / 60)} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}

function ended({ id, task, state, total, done, failed, reason, expires }) {
  if (state === "cancelled") return gone("This batch was deleted.");
  bar.max = total;
  bar.value = done + failed;
  byId("batch-count").hidden = byId("batch-pace").hidden = true;
  byId("batch-new").hidden = false;
  byId("batch-delete").textContent = "Delete from the service";
  byId("batch-download").hidden = state !== "done";
  if (state === "failed") say(byId("batch-trouble"), reason);
  byId("batch-title").textContent = state === "done" ? "Done" : "Failed";
  const until = new Date(expires).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  say(status, `${done} of ${total} photos ${DONE[task]}${failed ? `, ${failed} failed` : ""}. The service keeps them until ${until}.`);
  // A list that was asked for before the end would be of before.
  watching.abort();
  watching = new AbortController();
  return listFiles(id, watching.signal);
}

function gone(sentence) {
  const attended = byId("guard-batch").contains(document.activeElement);
  watching.abort();
  forget();
  byId("batch-title").textContent = "No batch";
  for (const name of ["batch-count", "batch-pace", "batch-delete", "batch-download", "batch-trouble"]) byId(name).hidden = true;
  byId("batch-new").hidden = false;
  bar.value = 0;
  say(status, sentence);
  // The button that was pressed is no more.
  if (attended) byId("batch-new").focus();
}

/** The batch cannot be watched, for a reason that trying again does not mend. */
export function refused(sentence) {
  watching.abort();
  say(status);
  say(byId("batch-trouble"), sentence);
  byId("batch-count").hidden = byId("batch-pace").hidden = byId("batch-delete").hidden = true;
  byId("batch-new").hidden = false;
}

async function showFiles(id, signal) {
  while (!signal.aborted) {
    const begun = performance.now();
    await listFiles(id, signal);
    const took = (performance.now() - begun) / 1000;
    await pause(Math.max(1, took / FILES_SHARE), signal).catch(() => {});
  }
}

async function listFiles(id, signal) {
  let files;
  try {
    ({ files } = await call(`batches/${id}`, { as: "json", signal }));
  } catch {
    // The events tell what is wrong.
    return;
  }
  fill(byId("batch-files"), files);
  fill(byId("batch-failed"), files.filter(({ error }) => error));
}

function fill(place, files) {
  place.hidden = !files.length;
  const list = place.querySelector("ul");
  while (list.children.length > files.length) list.lastChild.remove();
  files.forEach((file, index) => {
    const row = list.children[index] ?? list.appendChild(element("li", {}, element("span"), " ", element("span", { className: "said" })));
    const texts = [file.name, saidOf(file)];
    texts.forEach((text, at) => {
      const part = row.children[at];
      if (part.textContent !== text) part.textContent = text;
    });
  });
}

function saidOf({ state, faces, error }) {
  if (error) return error;
  if (state !== "done") return state;
  if (faces === undefined) return "done";
  return faces === 1 ? "1 face" : `${faces} faces`;
}

async function drop(id) {
  try {
    await call(`batches/${id}`, { method: "DELETE" });
  } catch (error) {
    if (error.code !== "batch_not_found") {
      say(byId("batch-trouble"), error.message);
      return;
    }
  }
  gone("The batch was deleted, and all that it had.");
}

async function download(id) {
  const address = `batches/${id}/result.zip`;
  try {
    if ("Authorization" in authorization()) {
      save(await call(address, { as: "blob" }), "result.zip");
    } else {
      // A link leaves gigabytes to the browser, but it can neither send a token nor show what the service has to say.
      await call(`batches/${id}`, { query: { files: false } });
      save(address, "result.zip");
    }
  } catch (error) {
    if (error.code === "batch_not_found") gone(error.message);
    else say(byId("batch-trouble"), error.message);
  }
}

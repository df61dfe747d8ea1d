import { askForToken, authorization } from "./token.js";

const MOST_TRIES = 6;

// The statuses of what is wrong with a file.
const IN_THE_FILE = new Set([400, 413, 415, 422]);

const CUT_OFF = "The service does not answer: it has stopped, or the connection is cut off. Try again in a moment.";

/** What went wrong, as a sentence for the reader: the service's own where it gave one. */
export class Trouble extends Error {
  constructor(sentence, { code = "", status = 0 } = {}) {
    super(sentence);
    this.code = code;
    this.status = status;
  }

  /** Whether trying again may mend it: not what is wrong with a file, and stays so. */
  get mayPass() {
    return !IN_THE_FILE.has(this.status);
  }
}

/**
 * Ask the service and resolve to its answer, read as "json", "blob" or, by default, not at all.
 *
 * A busy service is asked again when it says so; `onWait` is told in a sentence. Rejects with a Trouble, or an
 * AbortError once `signal` says so. `send` is fetch, or what takes and gives the same.
 */
export async function call(path, { query = {}, as = "", onWait = () => {}, send = fetch, headers = {}, ...options } = {}) {
  const address = path + (Object.keys(query).length ? `?${new URLSearchParams(query)}` : "");
  try {
    for (let tries = 1; ; tries += 1) {
      const answer = await send(address, { ...options, headers: { ...headers, ...authorization() } });
      if (answer.ok) return await (as ? answer[as]() : answer);
      const trouble = await troubleOf(answer);
      const seconds = Number(answer.headers.get("Retry-After"));
      if (answer.status === 401 && (await askForToken(trouble.message))) continue;
      if (![429, 503].includes(answer.status) || !seconds || tries === MOST_TRIES) throw trouble;
      onWait(`The service is busy. Trying again in ${seconds === 1 ? "a second" : `${seconds} seconds`}.`);
      await pause(seconds, options.signal);
    }
  } catch (error) {
    // What fetch and its answers reject with where there is no connection, or no more.
    throw error instanceof TypeError || error instanceof SyntaxError ? new Trouble(CUT_OFF, { code: "cut_off" }) : error;
  }
}

/** Post a photo as it is. Its type is told by its bytes, so that one without a known type has its sentence too. */
export function post(path, photo, options = {}) {
  return call(path, { method: "POST", body: photo, headers: { "Content-Type": "application/octet-stream" }, ...options });
}

/** Resolve after so many seconds, or reject as soon as `signal` says so. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop);
  });
}

async function troubleOf(answer) {
  const { status, statusText } = answer;
  // A proxy in between has no sentence, but often a page.
  const { error, code } = await answer.json().catch(() => ({}));
  return new Trouble(error ?? `The service answers ${`${status} ${statusText}`.trim()}, and not why.`, { code, status });
}

import { askForToken } from "./access-token.js";
import { errorText, text } from "./texts.js";
import { authorization, isOutdated } from "./token.js";

const MAX_ATTEMPTS = 6;

// With these statuses the file itself is at fault, and a retry fails again.
const FILE_ERRORS = new Set([400, 413, 415, 422]);

// The seconds before each further attempt to reach a service that does not respond, the last of them for all that follow.
const RECONNECT_SECONDS = [2, 4, 8, 15, 30];

const NO_CONNECTION = "no_connection";

// A proxy answers with these while the service behind it restarts.
const GATEWAY_ERRORS = new Set([502, 503, 504]);

/** A failed request. The message is a sentence for the user: the service's own if it sent one. */
export class RequestError extends Error {
  constructor(message, { code = "", status = 0, maxScale = null } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    // The scale at which a photo can be enlarged that is too large for the one in the request.
    this.maxScale = maxScale;
  }

  /** Whether a retry can succeed. */
  get retryable() {
    return !FILE_ERRORS.has(this.status);
  }
}

/**
 * Send a request and resolve to the response, to its body if `as` is "json" or "blob", or to what a function `as` makes
 * of the response.
 *
 * While the service is busy, wait as long as its Retry-After header says and try again. With `onWait`, which gets a
 * sentence every second of a wait, a lost connection is waited for as well, however long that takes. Rejects with a
 * RequestError, or with the reason of `signal` once that is aborted. `send` replaces fetch.
 */
export async function request(path, { query = {}, as = "", onWait = null, send = fetch, headers = {}, ...options } = {}) {
  const url = path + (Object.keys(query).length ? `?${new URLSearchParams(query)}` : "");
  const wait = (key, seconds) => countDown(seconds, (count) => onWait?.(text(key, { count })), options.signal);
  let losses = 0;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const sent = authorization();
      const response = await send(url, { ...options, headers: { ...headers, ...sent } });
      if (response.ok) return await (as instanceof Function ? as(response) : as ? response[as]() : response);
      const error = await errorOf(response);
      const seconds = Number(response.headers.get("Retry-After"));
      if (response.status === 401) {
        // Another request may have got the token meanwhile.
        if (!isOutdated(sent) && !(await askForToken(sent))) throw error;
      } else if ([429, 503].includes(response.status) && seconds && attempt < MAX_ATTEMPTS) {
        await wait("busy", seconds);
      } else {
        throw error;
      }
    } catch (error) {
      if (!isLost(error)) throw error;
      if (!onWait) throw lostConnection();
      await wait("reconnecting", RECONNECT_SECONDS[Math.min(losses, RECONNECT_SECONDS.length - 1)]);
      losses += 1;
    }
  }
}

/** Post a photo as a raw body. The generic type lets the service identify the format, or name the unknown one. */
export function postPhoto(path, photo, { headers = {}, ...options } = {}) {
  return request(path, { method: "POST", body: photo, headers: { "Content-Type": "application/octet-stream", ...headers }, ...options });
}

/** The error for a service that is not reached, or that breaks off. */
export const lostConnection = () => new RequestError(text("no_connection"), { code: NO_CONNECTION });

/** Resolve after `seconds`, or reject with the reason of `signal` once that is aborted. */
export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", abort);
  });
}

/** Call `show` with the seconds that are left, every second. Ends early when the browser gets a connection. */
export async function countDown(seconds, show, signal) {
  let isOnline = false;
  const hurry = () => { isOnline = true; };
  addEventListener("online", hurry);
  try {
    for (let left = seconds; left > 0 && !isOnline; left -= 1) {
      show(left);
      await sleep(1, signal);
    }
  } finally {
    removeEventListener("online", hurry);
  }
}

/** Whether the service was not reached. fetch then rejects with a TypeError; a body that is cut off is no valid JSON. */
const isLost = (error) => error instanceof TypeError || error instanceof SyntaxError || error.code === NO_CONNECTION;

async function errorOf(response) {
  const { status, statusText } = response;
  // A proxy's error may be an HTML page.
  const { error, code = "", max_scale: maxScale } = await response.json().catch(() => ({}));
  if (!error && status === 413) return new RequestError(text("too_many_bytes"), { code: "body_too_large", status });
  if (!error && GATEWAY_ERRORS.has(status)) return new RequestError(text("no_connection"), { code: NO_CONNECTION, status });
  const sentence = error ? errorText(code, error) : text("no_reason", { status: `${status} ${statusText}`.trim() });
  return new RequestError(sentence, { code, status, maxScale });
}

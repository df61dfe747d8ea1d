import { askForToken, authorization, isOutdated } from "./access-token.js";

const MAX_ATTEMPTS = 6;

// With these statuses the file itself is at fault, and a retry fails again.
const FILE_ERRORS = new Set([400, 413, 415, 422]);

const NO_CONNECTION = "The service does not respond. It may have stopped, or the connection is lost. Try again in a moment.";

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
 * Send a request and resolve to the response, or to its body if `as` is "json" or "blob".
 *
 * While the service is busy, wait as long as its Retry-After header says and try again; `onWait` gets a sentence about
 * it. Rejects with a RequestError, or with the reason of `signal` once that is aborted. `send` replaces fetch.
 */
export async function request(path, { query = {}, as = "", onWait = () => {}, send = fetch, headers = {}, ...options } = {}) {
  const url = path + (Object.keys(query).length ? `?${new URLSearchParams(query)}` : "");
  try {
    for (let attempt = 1; ; attempt += 1) {
      const sent = authorization();
      const response = await send(url, { ...options, headers: { ...headers, ...sent } });
      if (response.ok) return await (as ? response[as]() : response);
      const error = await errorOf(response);
      const seconds = Number(response.headers.get("Retry-After"));
      // Another request may have got the token meanwhile.
      if (response.status === 401 && (isOutdated(sent) || (await askForToken(error.message)))) continue;
      if (![429, 503].includes(response.status) || !seconds || attempt === MAX_ATTEMPTS) throw error;
      onWait(`The service is busy. Trying again in ${seconds === 1 ? "a second" : `${seconds} seconds`}.`);
      await sleep(seconds, options.signal);
    }
  } catch (error) {
    // fetch rejects with a TypeError without a connection; a body that is cut off is no valid JSON.
    const disconnected = error instanceof TypeError || error instanceof SyntaxError;
    throw disconnected ? new RequestError(NO_CONNECTION, { code: "no_connection" }) : error;
  }
}

/** Post a photo as a raw body. The generic type lets the service identify the format, or name the unknown one. */
export function postPhoto(path, photo, options = {}) {
  return request(path, { method: "POST", body: photo, headers: { "Content-Type": "application/octet-stream" }, ...options });
}

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

async function errorOf(response) {
  const { status, statusText } = response;
  // A proxy's error may be an HTML page.
  const { error, code, max_scale: maxScale } = await response.json().catch(() => ({}));
  return new RequestError(error ?? `The service responded ${`${status} ${statusText}`.trim()} without a reason.`, { code, status, maxScale });
}

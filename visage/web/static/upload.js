/** The media type of server-sent events. */
export const EVENTS = "text/event-stream";

let guarded = 0;

// Leaving the page ends an upload, and its photos would have to be chosen again.
addEventListener("beforeunload", (event) => {
  if (guarded) event.preventDefault();
});

/**
 * A replacement for fetch that calls `onProgress(bytes, total)` during the upload, which fetch cannot.
 *
 * Resolves when the response is complete; one that was asked for as `EVENTS`, when it begins. Until it is complete, the
 * browser asks before it leaves the page, if the upload is `guarded`.
 */
export const uploadWith = (onProgress, { guarded: isGuarded = false } = {}) => (url, { method, body, headers, signal }) => {
  signal?.throwIfAborted();
  guarded += isGuarded;
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    const stream = headers.Accept === EVENTS ? new TextStream(upload) : null;
    const respond = (content) => {
      const { status, statusText } = upload;
      const lines = upload.getAllResponseHeaders().trim().split(/\r\n/);
      const responseHeaders = new Headers(lines.map((line) => line.split(/: (.*)/s, 2)));
      resolve(new Response(content, { status, statusText, headers: responseHeaders }));
    };
    const fail = (reason) => {
      stream?.fail(reason);
      reject(reason);
    };
    upload.open(method, url);
    upload.responseType = stream ? "text" : "blob";
    for (const [name, value] of Object.entries(headers)) upload.setRequestHeader(name, value);
    upload.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    upload.onerror = () => fail(new TypeError("connection lost"));
    upload.onabort = () => fail(signal.reason);
    signal?.addEventListener("abort", () => upload.abort());
    upload.onreadystatechange = () => {
      if (stream && upload.readyState === XMLHttpRequest.HEADERS_RECEIVED) respond(stream.body);
    };
    upload.onload = () => (stream ? stream.end() : respond(upload.response));
    upload.onloadend = () => { guarded -= isGuarded; };
    upload.send(body);
  });
};

/** The text of a response as a body for another Response, piece by piece. */
class TextStream {
  #upload;
  #controller;
  #encoder = new TextEncoder();
  #length = 0;

  constructor(upload) {
    this.#upload = upload;
    this.body = new ReadableStream({ start: (controller) => { this.#controller = controller; } });
    upload.onprogress = () => this.#read();
  }

  end() {
    this.#read();
    this.#controller.close();
  }

  fail(reason) {
    this.#controller.error(reason);
  }

  #read() {
    const { responseText } = this.#upload;
    this.#controller.enqueue(this.#encoder.encode(responseText.slice(this.#length)));
    this.#length = responseText.length;
  }
}

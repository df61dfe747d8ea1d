let guarded = 0;

// Leaving the page ends an upload, and its photos would have to be chosen again.
addEventListener("beforeunload", (event) => {
  if (guarded) event.preventDefault();
});

/**
 * A replacement for fetch that calls `onProgress(bytes, total)` during the upload, which fetch cannot.
 *
 * While a `guarded` one runs, the browser asks before it leaves the page.
 */
export const uploadWith = (onProgress, { guarded: isGuarded = false } = {}) => (url, { method, body, headers, signal }) => {
  signal?.throwIfAborted();
  guarded += isGuarded;
  const sent = new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    upload.open(method, url);
    upload.responseType = "blob";
    for (const [name, value] of Object.entries(headers)) upload.setRequestHeader(name, value);
    upload.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    upload.onerror = () => reject(new TypeError("connection lost"));
    upload.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => upload.abort());
    upload.onload = () => {
      const { status, statusText } = upload;
      const lines = upload.getAllResponseHeaders().trim().split(/\r\n/);
      const responseHeaders = new Headers(lines.map((line) => line.split(/: (.*)/s, 2)));
      resolve(new Response(upload.response, { status, statusText, headers: responseHeaders }));
    };
    upload.send(body);
  });
  return sent.finally(() => { guarded -= isGuarded; });
};

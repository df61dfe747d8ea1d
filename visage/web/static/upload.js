/** A replacement for fetch that calls `onProgress(bytes, total)` during the upload, which fetch cannot. */
export const uploadWith = (onProgress) => (url, { method, body, headers, signal }) =>
  new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    upload.open(method, url);
    for (const [name, value] of Object.entries(headers)) upload.setRequestHeader(name, value);
    upload.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    upload.onerror = () => reject(new TypeError("connection lost"));
    upload.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => upload.abort());
    upload.onload = () => {
      const { status, statusText } = upload;
      const lines = upload.getAllResponseHeaders().trim().split(/\r\n/);
      const responseHeaders = new Headers(lines.map((line) => line.split(/: (.*)/s, 2)));
      resolve(new Response(upload.responseText, { status, statusText, headers: responseHeaders }));
    };
    upload.send(body);
  });

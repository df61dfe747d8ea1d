/** Like fetch, but `onSent(bytes, total)` is told how much has been sent, which fetch does not tell. */
export const sending = (onSent) => (address, { method, body, headers, signal }) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onSent(loaded, total);
    request.onerror = () => reject(new TypeError("cut off"));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.onload = () => {
      const { status, statusText } = request;
      const answered = new Headers(request.getAllResponseHeaders().trim().split(/\r\n/).map((line) => line.split(/: (.*)/s, 2)));
      resolve(new Response(request.responseText, { status, statusText, headers: answered }));
    };
    request.send(body);
  });

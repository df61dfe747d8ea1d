/** The page of the API: forms that call operations, and buttons that copy examples. */
import { authorization, storeToken } from "./token.js";
import { byId, element } from "./elements.js";

// A picture in JSON as base64 would fill the page.
const MAX_TEXT = 200;

for (const pre of document.querySelectorAll("pre")) {
  const language = pre.closest("details").querySelector("summary").textContent;
  const button = element("button", { type: "button", className: "copy", ariaLabel: `Copy: ${language}` }, "Copy");
  button.onclick = () => copy(pre, button);
  pre.before(button);
}

for (const form of document.querySelectorAll(".try form")) {
  form.parentElement.hidden = false;
  form.onsubmit = (event) => {
    event.preventDefault();
    void send(form);
  };
}

const token = byId("token");
if (token) {
  byId("token-field").hidden = false;
  token.oninput = () => storeToken(token.value.trim());
}

async function copy(pre, button) {
  const range = document.createRange();
  range.selectNodeContents(pre);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  // The clipboard exists on pages with HTTPS and of this machine only.
  if (navigator.clipboard) await navigator.clipboard.writeText(pre.textContent);
  else document.execCommand("copy");
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

async function send(form) {
  const answer = form.querySelector(".answer");
  const button = form.querySelector("button");
  button.disabled = true;
  answer.replaceChildren("Sending …");
  try {
    const response = await fetch(urlOf(form), {
      method: form.dataset.method,
      headers: authorization(),
      body: bodyOf(form),
    });
    answer.replaceChildren(element("p", {}, `${response.status} ${response.statusText}`), await contentOf(response));
  } catch {
    answer.replaceChildren("The service does not respond.");
  } finally {
    button.disabled = false;
  }
}

/** The URL of the operation, relative to this page: the service may be below a path. Empty fields are left out. */
function urlOf(form) {
  let path = form.dataset.path.slice(1);
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("input:not([type=file]), select")) {
    if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value.trim()));
    else if (field.value) query.set(field.name, field.value);
  }
  const parameters = query.toString();
  return `./${path}${parameters ? `?${parameters}` : ""}`;
}

function bodyOf(form) {
  const input = form.querySelector("input[type=file]");
  if (!input) return undefined;
  const body = new FormData();
  for (const file of input.files) body.append(input.name, file);
  return body;
}

async function contentOf(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.includes("json")) return pre(JSON.stringify(await response.json(), shortened, 2));
  if (type.startsWith("text/")) return pre(await response.text());
  const blob = await response.blob();
  if (!blob.size) return "";
  const href = URL.createObjectURL(blob);
  if (type.startsWith("image/")) return element("img", { src: href, alt: "The picture in the response" });
  return element("a", { href, download: "response" }, `Save ${blob.size} bytes of ${type}`);
}

const pre = (text) => element("pre", { tabIndex: 0 }, text);

const shortened = (key, value) =>
  typeof value === "string" && value.length > MAX_TEXT ? `${value.slice(0, 40)}… (${value.length} characters)` : value;

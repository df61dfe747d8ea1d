import { element, showMessage } from "./elements.js";
import { text } from "./texts.js";

/** Show the error of a named file. Offer a retry if that can succeed. */
export function showError(region, name, error, retry) {
  showMessage(region, text("status", { name, text: error.message }));
  if (error.retryable) region.append(element("button", { type: "button", onclick: retry }, text("try_again")));
}

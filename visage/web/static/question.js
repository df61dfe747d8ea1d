import { byId } from "./elements.js";

const dialog = byId("question-dialog");

/** Ask the user before something is lost. Resolves to whether the user agreed; `yes` is the text of that button. */
export function ask(question, yes) {
  byId("question-text").textContent = question;
  byId("question-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
  });
}

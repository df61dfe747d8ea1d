import { byId } from "./elements.js";

const KEPT_AS = "visage-token";

let asking = null;

/** The header that shows the token, if there is one; it is kept for as long as the tab is open. */
export function authorization() {
  const token = sessionStorage.getItem(KEPT_AS);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Ask for the token, for the reason that the service gave; resolves to whether one was given. */
export function askForToken(reason) {
  // Several requests may be refused at once: they wait for one answer.
  asking ??= ask(reason).finally(() => { asking = null; });
  return asking;
}

function ask(reason) {
  const dialog = byId("token-dialog");
  const field = byId("token");
  byId("token-reason").textContent = reason;
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  byId("token-cancel").onclick = () => dialog.close();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      const given = dialog.returnValue === "given";
      if (given) sessionStorage.setItem(KEPT_AS, field.value.trim());
      resolve(given);
    };
  });
}

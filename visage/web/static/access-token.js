import { byId } from "./elements.js";

const STORAGE_KEY = "visage-token";

let openDialog = null;

/** The Authorization header with the stored token, or no header. The token is stored until the tab closes. */
export function authorization() {
  const token = sessionStorage.getItem(STORAGE_KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Whether the user has entered another token since `authorization` returned `headers`. */
export function isOutdated(headers) {
  return headers.Authorization !== authorization().Authorization;
}

/** Store the token until the tab closes; an empty one is forgotten. */
export function storeToken(token) {
  if (token) sessionStorage.setItem(STORAGE_KEY, token);
  else sessionStorage.removeItem(STORAGE_KEY);
}

/** Ask the user for the token and show `reason`. Resolves to whether the user entered one. */
export function askForToken(reason) {
  // Concurrent requests share one dialog.
  openDialog ??= showDialog(reason).finally(() => { openDialog = null; });
  return openDialog;
}

function showDialog(reason) {
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
      if (given) storeToken(field.value.trim());
      resolve(given);
    };
  });
}

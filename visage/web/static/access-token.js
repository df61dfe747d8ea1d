import { byId, showMessage } from "./elements.js";
import { text } from "./texts.js";
import { storeToken } from "./token.js";

let openDialog = null;

/** Ask the user for the token. `sent` are the headers that the service rejected. Resolves to whether the user entered one. */
export function askForToken(sent) {
  // Concurrent requests share one dialog.
  openDialog ??= showDialog(text("Authorization" in sent ? "token_wrong" : "token_needed")).finally(() => { openDialog = null; });
  return openDialog;
}

function showDialog(reason) {
  const dialog = byId("token-dialog");
  const field = byId("token");
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  // A region that is filled after it appeared is announced.
  showMessage(byId("token-reason"), reason);
  byId("token-cancel").onclick = () => dialog.close();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      const given = dialog.returnValue === "given";
      if (given) storeToken(field.value.trim());
      showMessage(byId("token-reason"));
      resolve(given);
    };
  });
}

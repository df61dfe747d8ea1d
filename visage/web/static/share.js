// Desktops have files and folders; phones have apps to share with.
const hasApps = matchMedia("(pointer: coarse)");

/** Show a button that shares a file with another app, where the device can. Null for `blob` hides it. */
export function offerShare(button, blob, name) {
  const files = blob ? [new File([blob], name, { type: blob.type })] : [];
  button.hidden = !blob || !hasApps.matches || !navigator.canShare?.({ files });
  button.onclick = () => {
    // Rejects when the user chooses no app.
    navigator.share({ files }).catch(() => {});
  };
}

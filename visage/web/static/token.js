const STORAGE_KEY = "visage-token";

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

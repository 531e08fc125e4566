// What the person at this screen chose: the address first, then this browser's memory.

const address = new URLSearchParams(location.search);

export const kiosk = address.has("kiosk");

/** Return the choice called `name`, or null. */
export function chosen(name) {
  try {
    return address.get(name) ?? localStorage.getItem(`lini.${name}`);
  } catch {
    return address.get(name); // a browser that may store nothing
  }
}

export function choose(name, value) {
  address.delete(name);
  history.replaceState(null, "", `?${address}${location.hash}`);
  try {
    localStorage.setItem(`lini.${name}`, value);
  } catch {
    // holds until the page is loaded again
  }
}

// Icons: one shape for each meaning, so that none depends on colour. 24 × 24, in the text's colour.

import { attr, svg } from "./dom.js";

const SHAPES = {
  run: "M7 4.5v15L20 12z",
  idle: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm0 3a5 5 0 1 1 0 10 5 5 0 0 1 0-10z",
  stop: "M5 5h14v14H5z",
  pause: "M6 5h4.5v14H6zM13.5 5H18v14h-4.5z",
  wait: "M6 3h12v3.2L13.7 12 18 17.8V21H6v-3.2L10.3 12 6 6.2zm2.6 15.5h6.8L12 14z",
  blocked: "M4 6l7.5 6L4 18zM14 5h5v14h-5z",
  off: "M10.5 3h3v9h-3zM7.6 5.4l1.6 2.5a5.5 5.5 0 1 0 5.6 0l1.6-2.5a8.5 8.5 0 1 1-8.8 0z",
  wrench: "M20.6 7.2a5.6 5.6 0 0 1-7.3 6.5L7 20a2.1 2.1 0 0 1-3-3l6.3-6.3a5.6 5.6 0 0 1 6.5-7.3l-3.2 3.2.7 3.1 3.1.7z",
  fault: "M12 2.5L23 21.5H1zM10.7 9l.4 6.5h1.8l.4-6.5zM12 16.8a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
  estop: "M8 2h8l6 6v8l-6 6H8l-6-6V8zM6 10.3v3.4h12v-3.4z",
  unknown: "M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19zM8.3 9.2a3.8 3.8 0 1 1 5.6 3.4c-.5.3-.7.6-.7 1.1v.5h-2.4v-.6c0-1.3.6-2.2 1.7-2.9a1.5 1.5 0 1 0-2-1.5zM12 15.5a1.4 1.4 0 1 1 0 2.8 1.4 1.4 0 0 1 0-2.8z",
  link: "M9.2 16.6l-4-4L3 14.8 9.2 21 21.4 8.8l-2.2-2.2z",
  cut: "M4.2 2L22 19.8 19.8 22l-4-4-1.6 1.6a5.6 5.6 0 0 1-8-8L7.8 10 2 4.2zM9.4 11.6l-1.6 1.6a3.4 3.4 0 0 0 4.8 4.8l1.6-1.6zM13.2 5.4a5.6 5.6 0 0 1 7.4 8l-1.7-1.5a3.4 3.4 0 0 0-4.8-4.8l-.9.9-1.5-1.6z",
  old: "M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19zm0 2.6a6.9 6.9 0 1 1 0 13.8 6.9 6.9 0 0 1 0-13.8zM10.8 7v5.6l3.9 3.4 1.6-1.8-3-2.7V7z",
  ok: "M9.2 16.6l-4-4L3 14.8 9.2 21 21.4 8.8l-2.2-2.2z",
  ng: "M5.8 3.5L3.5 5.8 9.7 12l-6.2 6.2 2.3 2.3 6.2-6.2 6.2 6.2 2.3-2.3-6.2-6.2 6.2-6.2-2.3-2.3L12 9.7z",
  up: "M12 5l8 12H4z",
  down: "M12 19L4 7h16z",
  critical: "M8 2h8l6 6v8l-6 6H8l-6-6V8zM10.6 6l.4 8h2l.4-8zM12 15.6a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
  high: "M12 2.5L23 21.5H1zM10.7 9l.4 6.5h1.8l.4-6.5zM12 16.8a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
  medium: "M12 1.5L22.5 12 12 22.5 1.5 12zM10.8 6.5l.3 6.7h1.8l.3-6.7zM12 14.6a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8z",
  low: "M12 2.5a9.5 9.5 0 1 0 0 19 9.5 9.5 0 0 0 0-19zM10.7 6l.3 7.3h2l.3-7.3zM12 14.9a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8z",
  back: "M15.5 3.5L7 12l8.5 8.5 2-2L11 12l6.5-6.5z",
  sent: "M12 3l7 7-1.8 1.8-3.9-3.9V21h-2.6V7.9l-3.9 3.9L5 10z",
  light: "M12 7a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM11 1h2v4h-2zM11 19h2v4h-2zM1 11h4v2H1zM19 11h4v2h-4zM4.9 3.5l2.8 2.8-1.4 1.4-2.8-2.8zM17.7 16.3l2.8 2.8-1.4 1.4-2.8-2.8zM19.1 3.5l1.4 1.4-2.8 2.8-1.4-1.4zM6.3 16.3l1.4 1.4-2.8 2.8-1.4-1.4z",
  dark: "M20.5 14.6A9 9 0 0 1 9.4 3.5a9 9 0 1 0 11.1 11.1z",
};

/** Make an icon whose shape can be changed later with `reshape`. */
export function icon(name) {
  const node = svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { "fill-rule": "evenodd" }));
  reshape(node, name);
  return node;
}

export function reshape(node, name) {
  attr(node, "data-icon", name);
  attr(node.firstElementChild, "d", SHAPES[name] ?? SHAPES.unknown);
}

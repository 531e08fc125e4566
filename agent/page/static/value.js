// One measured value: number, unit, where it stands between its limits, and what is wrong with it.

import { attr, el, show, svg, text } from "./dom.js";
import { icon, reshape } from "./icons.js";
import { ago, number, pick, t, word } from "./i18n.js";

const LONG = [7, 10]; // characters, beyond which a figure is written smaller

/** Make the part that shows one value; with `ages` it says how old even a young value is. */
export function valuePart({ ages = false } = {}) {
  const label = el("dt", { class: "label" });
  const mark = icon("up");
  const figure = el("b", { class: "figure" });
  const unit = el("span", { class: "unit" });
  const scale = bullet();
  const note = el("dd", { class: "note" });
  const node = el("div", { class: "value" }, label, el("dd", { class: "reading" }, mark, figure, unit), el("dd", { class: "scale" }, scale.node), note);
  const update = ({ value, now, late }) => {
    const side = beyond(value);
    text(label, pick(value.label) || value.name);
    const reading = shown(value);
    text(figure, reading);
    attr(figure, "data-long", LONG.findLast((length) => reading.length > length));
    attr(figure, "data-number", typeof value.value === "number");
    text(unit, value.value === null ? "" : value.unit);
    attr(node, "data-quality", value.quality);
    attr(node, "data-beyond", side);
    attr(node, "data-late", late);
    show(mark, side !== null);
    if (side) reshape(mark, side);
    scale.update(value, side);
    text(note, remark(value, side, late || ages ? now : null));
  };
  return { node, update };
}

function shown({ value, decimals }) {
  if (value === null) return "–";
  return typeof value === "number" ? number(value, decimals) : word("value", String(value));
}

/** Return "up" or "down" when the value is out of its limits, else null. */
function beyond({ value, low, high, quality }) {
  if (typeof value !== "number" || quality === "bad") return null;
  if (high !== null && value > high) return "up";
  return low !== null && value < low ? "down" : null;
}

function remark(value, side, now) {
  const limits = { low: number(value.low, value.decimals), high: number(value.high, value.decimals) };
  const parts = [];
  if (value.quality !== "good") parts.push(word("why", value.why) || word("quality", value.quality));
  else if (side === "up") parts.push(t("limit.above", limits));
  else if (side === "down") parts.push(t("limit.below", limits));
  else if (value.low !== null && value.high !== null) parts.push(t("limit.both", limits));
  else if (value.high !== null) parts.push(t("limit.high", limits));
  else if (value.low !== null) parts.push(t("limit.low", limits));
  if (now !== null && value.time_ms !== null) parts.push(ago(now - value.time_ms));
  return parts.join(" · ");
}

/** A line with the allowed band, and a mark where the value stands; drawn only with limits. */
function bullet() {
  const band = svg("rect", { class: "band", y: 3, height: 4 });
  const needle = svg("rect", { class: "needle", y: 0, height: 10, width: 2 });
  const node = svg("svg", { class: "bullet", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", y: 3, height: 4, width: 100 }), band, needle);
  const update = ({ value, low, high }, side) => {
    const drawn = (low !== null || high !== null) && typeof value === "number";
    attr(node, "data-drawn", drawn);
    if (!drawn) return;
    const place = axis(low, high, value);
    const from = low === null ? 0 : place(low);
    attr(band, "x", from);
    attr(band, "width", (high === null ? 100 : place(high)) - from);
    attr(needle, "x", place(value) - 1);
    attr(needle, "data-beyond", side);
  };
  return { node, update };
}

/** Return what maps a value to 1…99, with room on both sides of the limits. */
function axis(low, high, value) {
  const one = low ?? high;
  const reach = Math.abs(one) || Math.abs(value) || 1;
  const from = low ?? Math.min(0, high - reach);
  const to = high ?? low + reach;
  const room = (to - from) * 0.25 || 1;
  const start = low === null ? from : from - room;
  const end = high === null ? to : to + room;
  return (each) => Math.min(99, Math.max(1, ((each - start) / (end - start)) * 100));
}

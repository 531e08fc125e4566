// What a station made: the machine's own counters beside what Lini has stored, and the last part.

import { attr, el, keyed, show, text } from "./dom.js";
import { icon, reshape } from "./icons.js";
import { number, seconds, t, word } from "./i18n.js";

/** Make the part that shows the counts of a station. */
export function countsPart() {
  const node = el("dl", { class: "counts" });
  const update = ({ counts, parts }) => {
    const items = [];
    if (counts) items.push({ key: "total", n: counts.total }, { key: "reject", n: counts.reject });
    if (parts) items.push({ key: "stored", n: parts.stored }, { key: "ng", n: parts.ng });
    if (parts?.lost) items.push({ key: "lost", n: parts.lost });
    keyed(node, items, ({ key }) => key, countPart);
    show(node, items.length > 0);
  };
  return { node, update };
}

function countPart({ key }) {
  const label = el("dt", { class: "label" });
  const figure = el("dd", { class: "count" });
  const node = el("div", { "data-count": key }, label, figure);
  const update = ({ n }) => {
    text(label, word("count", key));
    text(figure, n === null ? "–" : number(n, 0));
  };
  return { node, update };
}

/** Make the line about the last part: judgement, serial, time. */
export function lastPart() {
  const label = el("span", { class: "label" });
  const mark = icon("ok");
  const result = el("b");
  const serial = el("span", { class: "serial" });
  const at = el("time");
  const node = el("p", { class: "last" }, label, mark, result, serial, at);
  const update = ({ last }) => {
    show(node, last !== null);
    if (!last) return;
    const bad = last.result === "NG";
    attr(node, "data-result", last.result);
    text(label, t("last"));
    reshape(mark, bad ? "ng" : last.result === "OK" ? "ok" : "unknown");
    const why = last.code && last.code !== "none" ? ` · ${word("code", last.code)}` : "";
    text(result, word("result", last.result) + why);
    text(serial, last.serial ?? "");
    text(at, seconds(last.time_ms));
  };
  return { node, update };
}

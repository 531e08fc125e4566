// One station's own screen: everything that is known of it now.

import { el, show, text } from "./dom.js";
import { alarmsPart } from "./alarms.js";
import { matrixPart } from "./channels.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";
import { countsPart, lastPart } from "./production.js";
import { headPart, valuesPart } from "./tile.js";

/** Make the screen of a station. */
export function detailPart() {
  const back = el("span");
  const title = el("span");
  const head = headPart(title, "h2");
  const code = el("p", { class: "code" });
  const alarms = panel(alarmsPart());
  const calm = el("p", { class: "calm" });
  const values = panel(valuesPart({ ages: true }));
  const matrix = matrixPart();
  const counts = countsPart();
  const last = lastPart();
  const made = panel({ node: el("div", {}, counts.node, last.node) });
  alarms.node.append(calm);
  const link = el("a", { class: "back", href: "#/" }, icon("back"), back);
  const top = el("section", { class: "panel top" }, ...head.nodes, code);
  const node = el("div", { class: "detail" }, link,
    el("div", { class: "stack" }, top, alarms.node, made.node),
    el("div", { class: "stack" }, values.node, matrix.node));
  const update = ({ station, now }) => {
    head.update(station, now, node);
    text(back, t("back"));
    text(code, station.name);
    text(alarms.title, t("alarms"));
    alarms.part.update(station, now);
    text(calm, t("alarms.none"));
    show(calm, station.alarms.length === 0);
    text(values.title, t("values"));
    values.part.update(station, now);
    text(made.title, t("production"));
    counts.update(station);
    last.update(station);
    show(made.node, Boolean(station.counts || station.parts || station.last));
    matrix.update(station);
  };
  return { node, update };
}

function panel(part) {
  const title = el("h3");
  return { node: el("section", { class: "panel" }, title, part.node), title, part };
}

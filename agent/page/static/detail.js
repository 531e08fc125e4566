// One station's own screen: everything that is known of it now.

import { el, show, text } from "./dom.js";
import { alarmsPart } from "./alarms.js";
import { matrixPart } from "./channels.js";
import { icon } from "./icons.js";
import { t } from "./i18n.js";
import { countsPart, lastPart } from "./production.js";
import { forTile, headPart, valuesPart } from "./tile.js";

/** Make the screen of a station. */
export function detailPart() {
  const back = el("span");
  const title = el("span");
  const head = headPart(title, "h2");
  const code = el("p", { class: "code" });
  const alarms = panel(alarmsPart());
  const calm = el("p", { class: "calm" });
  const values = panel(valuesPart({ ages: true }));
  const others = panel(valuesPart({ ages: true }));
  others.node.classList.add("others");
  const matrix = matrixPart();
  const counts = countsPart();
  const last = lastPart();
  const made = panel({ node: el("div", {}, counts.node, last.node) });
  alarms.node.append(calm);
  const link = el("a", { class: "back", href: "#/" }, icon("back"), back);
  const top = el("section", { class: "panel top" }, ...head.nodes, code);
  const node = el("div", { class: "detail" }, link,
    el("div", { class: "stack" }, top, alarms.node, made.node),
    el("div", { class: "stack" }, values.node, matrix.node, others.node));
  const update = ({ station, now }) => {
    head.update(station, now, node);
    text(back, t("back"));
    text(code, station.name);
    text(alarms.title, t("alarms"));
    alarms.part.update(station, now);
    text(calm, t("alarms.none"));
    show(calm, station.alarms.length === 0);
    text(values.title, t("values"));
    const shown = forTile(station.values);
    const rest = station.values.filter((value) => !shown.includes(value));
    values.part.update({ ...station, values: shown }, now);
    show(values.node, shown.length > 0);
    text(others.title, t("others"));
    others.part.update({ ...station, values: rest }, now);
    show(others.node, rest.length > 0);
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

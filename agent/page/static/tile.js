// A station: its tile on the overview, and the head it shares with the station's own screen.

import { attr, el, keyed, show, text } from "./dom.js";
import { alarmsPart } from "./alarms.js";
import { miniPart } from "./channels.js";
import { icon, reshape } from "./icons.js";
import { ago, pick, span, t, time } from "./i18n.js";
import { countsPart, lastPart } from "./production.js";
import { age, present, ranked } from "./state.js";
import { valuePart } from "./value.js";

/** Make a tile that opens the station's screen. */
export function tilePart({ name }) {
  const head = headPart(el("a", { href: `#/${encodeURIComponent(name)}` }), "h2");
  const values = valuesPart();
  const channels = miniPart();
  const counts = countsPart();
  const last = lastPart();
  const alarms = alarmsPart({ most: 1 });
  const foot = el("div", { class: "foot" }, counts.node, last.node);
  const node = el("li", { class: "tile", "data-station": name }, ...head.nodes, values.node, channels.node, foot, alarms.node);
  const update = ({ station, now }) => {
    head.update(station, now, node);
    const most = station.counts || station.channels.length ? 3 : 4; // where counts leave room
    values.update({ ...station, values: forTile(station.values).slice(0, most) }, now);
    channels.update(station);
    counts.update(station);
    last.update(station);
    const made = Boolean(station.counts || station.parts || station.last);
    show(foot, made);
    attr(node, "data-roomy", !made && station.alarms.length === 0);
    alarms.update(station, now);
  };
  return { node, update };
}

/** Return the values that the profile wants on the tile, in its order. */
export function forTile(values) {
  return values.filter(({ show: rank }) => rank !== null).sort((a, b) => a.show - b.show);
}

/** Make name, age and state of a station; `title` is the node that holds the name. */
export function headPart(title, level) {
  const old = el("p", { class: "age" });
  const mark = icon("unknown");
  const known = el("b", { class: "word" });
  const since = el("span", { class: "since" });
  const state = el("p", { class: "state" }, mark, el("span", {}, known, " ", since));
  const update = (station, now, frame) => {
    const { icon: shape, level: loudness, word } = present(station, now);
    const stale = loudness === "stale";
    const ms = age(station, now);
    const last = ms === Infinity ? t("never") : ago(ms);
    text(title, pick(station.title) || station.name);
    text(old, stale ? t("stale.was", { word }) : last);
    attr(frame, "data-level", loudness);
    attr(frame, "data-priority", ranked(station.alarms)[0]?.priority);
    reshape(mark, shape);
    text(known, stale ? t("stale") : word);
    const from = t("since", { time: time(station.since_ms, now), span: span(now - station.since_ms) });
    if (stale) text(since, `— ${ms === Infinity ? last : t("stale.last", { ago: last })}`);
    else text(since, station.state === "none" ? "" : from);
  };
  return { nodes: [el("div", { class: "name" }, el(level, {}, title), old), state], update };
}

/** Make the grid of a station's values. */
export function valuesPart(options) {
  const node = el("dl", { class: "values" });
  const update = ({ values, seen_ms }, now) => {
    attr(node, "data-n", values.length);
    // old beside the rest of its station: the station's own age is said above
    const late = ({ time_ms, stale_after_s }) => time_ms !== null && seen_ms - time_ms > stale_after_s * 1000;
    const items = values.map((value) => ({ value, now, late: late(value) }));
    keyed(node, items, ({ value }) => value.name, () => valuePart(options));
    show(node, values.length > 0);
  };
  return { node, update };
}

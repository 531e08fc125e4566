// The channels of a formation cabinet: a matrix that is grey while all is as it should be.

import { attr, el, keyed, show, text } from "./dom.js";
import { icon, reshape } from "./icons.js";
import { number, t, word } from "./i18n.js";

const KINDS = {
  charging: { kind: "charge", icon: "up" },
  discharging: { kind: "discharge", icon: "down" },
  rest: { kind: "rest", icon: "pause" },
  paused: { kind: "rest", icon: "pause" },
  empty: { kind: "done", icon: "idle" },
  finished: { kind: "done", icon: "ok" },
  protected: { kind: "alarm", icon: "fault" },
};
const LOST = { kind: "lost", icon: "unknown" };

// Channels of one step stand at different times of it: only what the step holds still compares.
const FIELDS = [
  { name: "voltage", unit: "V", decimals: 3, still: /^cv_/, floor: 0.01 },
  { name: "current", unit: "A", decimals: 2, still: /^cc_/, floor: 0.05 },
  { name: "capacity_ah", unit: "Ah", decimals: 3, still: null },
  { name: "temperature", unit: "°C", decimals: 1, still: /^c[cv]_/, floor: 3 },
];
const FEWEST_PEERS = 5;
const FAR = 3.5; // modified z-score after Iglewicz and Hoaglin

const isNumber = (value) => typeof value === "number";
const look = ({ state, quality }) => (quality === "bad" ? LOST : KINDS[state] ?? LOST);

/**
 * Find channels that stand apart from the others in the same state and step.
 * Returns a Map from channel to {field, median}; spreads below a field's floor are no reason.
 */
export function outliers(channels) {
  const groups = new Map();
  for (const each of channels) {
    const key = `${each.state}/${each.step}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  const found = new Map();
  for (const peers of groups.values()) {
    for (const field of FIELDS.filter(({ still }) => still?.test(peers[0].step))) {
      const measured = peers.filter((each) => each.quality !== "bad" && isNumber(each[field.name]));
      if (measured.length < FEWEST_PEERS) continue;
      const middle = median(measured.map((each) => each[field.name]));
      const spread = median(measured.map((each) => Math.abs(each[field.name] - middle)));
      const reach = Math.max((FAR * spread) / 0.6745, field.floor);
      for (const each of measured) {
        const apart = Math.abs(each[field.name] - middle) > reach;
        if (apart && !found.has(each.channel)) found.set(each.channel, { field, median: middle });
      }
    }
  }
  return found;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Make the small matrix of a tile: a pattern to see at a glance, and its count in words. */
export function miniPart() {
  const grid = el("div", { class: "mini", "aria-hidden": "true" });
  const legend = legendPart();
  const node = el("div", { class: "channels" }, grid, legend.node);
  const update = ({ channels }) => {
    const apart = outliers(channels);
    keyed(grid, marked(channels, apart), ({ channel }) => channel.channel, () => {
      const cell = el("i");
      return { node: cell, update: (item) => paint(cell, item) };
    });
    legend.update(channels, apart);
    show(node, channels.length > 0);
  };
  return { node, update };
}

/** Return what the cells of a matrix show: {channel, mark}, the mark only of one that is apart. */
function marked(channels, apart) {
  return channels.map((channel) => ({ channel, mark: apart.get(channel.channel) }));
}

function paint(cell, { channel, mark }) {
  attr(cell, "data-kind", look(channel).kind);
  attr(cell, "data-apart", mark !== undefined);
}

function legendPart() {
  const node = el("ul", { class: "legend" });
  const update = (channels, apart) => {
    const counts = new Map();
    for (const each of channels) {
      const name = word("channel", each.quality === "bad" ? "unknown" : each.state);
      const entry = counts.get(name) ?? { name, look: look(each), n: 0 };
      counts.set(name, { ...entry, n: entry.n + 1 });
    }
    const items = [...counts.values()].sort((a, b) => b.n - a.n);
    if (apart.size) items.push({ name: t("outlier"), look: { kind: "apart", icon: "apart" }, n: apart.size });
    keyed(node, items, ({ name }) => name, legendItem);
  };
  return { node, update };
}

function legendItem() {
  const swatch = el("i", { "aria-hidden": "true" });
  const figure = el("b");
  const name = el("span");
  const node = el("li", {}, swatch, figure, name);
  const update = (item) => {
    attr(swatch, "data-kind", item.look.kind);
    text(figure, number(item.n, 0));
    text(name, item.name);
  };
  return { node, update };
}

/** Make the full matrix: a button for each channel, and a line about the one chosen. */
export function matrixPart() {
  const title = el("h3");
  const legend = legendPart();
  const grid = el("div", { class: "matrix" });
  const chosen = el("p", { class: "chosen", "aria-live": "polite" });
  const node = el("section", { class: "panel" }, title, legend.node, grid, chosen);
  let selected = null;
  let shown = null; // the station as it was last drawn, to draw it again after a touch
  const update = (station) => {
    shown = station;
    const { channels } = station;
    const apart = outliers(channels);
    text(title, t("channels"));
    legend.update(channels, apart);
    keyed(grid, marked(channels, apart), ({ channel }) => channel.channel, ({ channel: { channel } }) => {
      const part = cellPart();
      part.node.addEventListener("click", () => {
        selected = channel;
        update(shown);
      });
      return { node: part.node, update: (item) => part.update(item, channel === selected) };
    });
    const one = channels.find(({ channel }) => channel === selected);
    text(chosen, one ? story(one, apart.get(one.channel)) : t("channel.choose"));
    show(node, channels.length > 0);
  };
  return { node, update };
}

function cellPart() {
  const name = el("span", { class: "channel" });
  const shape = icon("idle");
  const voltage = el("b");
  const node = el("button", { type: "button" }, name, shape, voltage);
  const update = (item, selected) => {
    const { channel, mark } = item;
    paint(node, item);
    reshape(shape, look(channel).icon);
    text(name, channel.channel);
    text(voltage, isNumber(channel.voltage) ? number(channel.voltage, 3) : "–");
    attr(node, "aria-pressed", String(selected));
    attr(node, "aria-label", story(channel, mark));
  };
  return { node, update };
}

function story(channel, apart) {
  const parts = [
    t("channel.name", { name: channel.channel }),
    word("channel", channel.quality === "bad" ? "unknown" : channel.state),
    channel.step && channel.step !== "none" ? word("step", channel.step) : "",
    ...FIELDS.filter(({ name }) => isNumber(channel[name])).map((field) => measure(field, channel[field.name])),
  ];
  if (apart) {
    parts.push(t("apart", { field: word("field", apart.field.name), median: measure(apart.field, apart.median) }));
  }
  return parts.filter(Boolean).join(" · ");
}

const measure = ({ unit, decimals }, value) => `${number(value, decimals)} ${unit}`;

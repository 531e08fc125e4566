// The top of every screen: where we are, what time it is, whether the page is alive, the sums.

import { attr, el, keyed, show, text } from "./dom.js";
import { icon, reshape } from "./icons.js";
import { number, seconds, span, t, tn, today } from "./i18n.js";
import { present, ranked } from "./state.js";

const byId = (id) => document.getElementById(id);
const BEHIND_S = 10; // what is younger is on its way: the sink answers within seconds
const OLD_S = 60; // a queue that is older is worth a colour

/** Show the site, the clock, the uplinks, and whether the link to the agent is `dead`. */
export function updateHead(board, now, dead) {
  const { site } = board;
  text(byId("head").querySelector("h1"), site ? `${site.name} · ${site.line}` : "Lini");
  const [clock, day] = byId("time").children;
  text(clock, now === null ? "" : seconds(now));
  text(day, now === null ? "" : today(now));
  keyed(byId("uplinks"), board.uplinks, ({ name }) => name, uplinkPart);
  updateLink(board, dead);
}

function updateLink(board, dead) {
  const link = byId("link");
  const cut = byId("cut");
  if (!link.firstChild) link.append(icon("unknown"), el("span"));
  const state = dead ? "cut" : board.site ? "live" : "wait";
  attr(link, "data-link", state);
  reshape(link.firstChild, { cut: "cut", live: "link", wait: "wait" }[state]);
  text(link.lastChild, { cut: t("link.cut"), live: t("link.live"), wait: t("link.wait") }[state]);
  attr(document.documentElement, "data-dead", dead);
  const last = board.heard_ms === null ? t("cut.never") : t("cut.last", { time: seconds(board.heard_ms) });
  text(cut, dead ? `${t("cut")} — ${last}` : "");
  show(cut, dead);
}

function uplinkPart() {
  const mark = icon("sent");
  const state = el("span");
  const node = el("li", {}, mark, state);
  const update = ({ name, connected, queue, oldest_s }) => {
    const late = !connected || (oldest_s ?? 0) > OLD_S;
    attr(node, "data-late", late);
    reshape(mark, connected ? "sent" : "cut");
    const parts = [name];
    if (!connected) parts.push(t("uplink.cut"));
    const waits = queue > 0 && (late || (oldest_s ?? 0) > BEHIND_S);
    parts.push(waits ? tn("uplink.waiting", queue) : t("uplink.empty"));
    if (late && oldest_s !== null) parts.push(t("uplink.oldest", { span: span(oldest_s * 1000) }));
    text(state, parts.join(" · "));
  };
  return { node, update };
}

/** Show how many stations run, wait, stand, are lost, and how many alarms are open. */
export function updateSummary(site, stations, now) {
  const alarms = ranked(stations.flatMap((station) => station.alarms));
  const count = (group) => stations.filter((each) => present(each, now).group === group).length;
  const items = [
    { key: "running", icon: "run", label: t("sum.running"), n: count("running") },
    { key: "waiting", icon: "pause", label: t("sum.waiting"), n: count("waiting") },
    { key: "stopped", icon: "stop", label: t("sum.stopped"), n: count("stopped") },
    { key: "lost", icon: "unknown", label: t("sum.lost"), n: count("lost") },
    { key: "alarms", icon: alarms[0]?.priority ?? "ok", label: t("sum.alarms"), n: alarms.length },
  ];
  keyed(byId("summary"), items, ({ key }) => key, sumPart);
  attr(byId("summary"), "data-priority", alarms[0]?.priority);
  document.title = `${alarms.length ? `(${alarms.length}) ` : ""}${site.name} – Lini`;
}

function sumPart({ key }) {
  const mark = icon("unknown");
  const figure = el("b");
  const label = el("span");
  const node = el("li", { "data-sum": key, role: key === "alarms" ? "status" : null }, mark, figure, label);
  const update = (item) => {
    attr(node, "data-zero", item.n === 0);
    reshape(mark, item.icon);
    text(figure, number(item.n, 0));
    text(label, item.label);
  };
  return { node, update };
}

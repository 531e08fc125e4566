// Open alarms: shape and word for the priority, what happened, what to do.

import { attr, el, keyed, show, text } from "./dom.js";
import { icon, reshape } from "./icons.js";
import { pick, span, t, time, word } from "./i18n.js";
import { ranked } from "./state.js";

/** Make the list of alarms; with `most`, the gravest of them and how many more there are. */
export function alarmsPart({ most = Infinity } = {}) {
  const list = el("ul");
  const more = el("p", { class: "more" });
  const node = el("div", { class: "alarms" }, list, more);
  const update = ({ alarms }, now) => {
    const hidden = Math.max(0, alarms.length - most);
    const items = ranked(alarms).slice(0, most).map((alarm) => ({ alarm, now }));
    keyed(list, items, ({ alarm }) => `${alarm.code} ${alarm.since_ms}`, alarmPart);
    text(more, hidden ? t("more", { n: hidden }) : "");
    show(more, hidden > 0);
    show(node, alarms.length > 0);
  };
  return { node, update };
}

function alarmPart() {
  const mark = icon("low");
  const what = el("b");
  const response = el("span", { class: "response" });
  const since = el("small", { class: "note" });
  const node = el("li", { class: "alarm" }, mark, el("div", {}, what, response, since));
  const update = ({ alarm, now }) => {
    attr(node, "data-priority", alarm.priority);
    reshape(mark, alarm.priority);
    text(what, pick(alarm.text) || alarm.code);
    text(response, pick(alarm.response));
    text(since, `${word("priority", alarm.priority)} · ${t("since", { time: time(alarm.since_ms, now), span: span(now - alarm.since_ms) })}`);
  };
  return { node, update };
}

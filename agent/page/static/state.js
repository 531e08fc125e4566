// What a station's state means to a person: word, icon, how loud, and under what it is counted.

import { word } from "./i18n.js";

// level: normal and quiet stay grey; wait costs output; alarm is coloured; lost is hatched
const STATES = {
  execute: { icon: "run", level: "normal", group: "running" },
  idle: { icon: "idle", level: "quiet", group: "waiting" },
  suspended: { icon: "pause", level: "wait", group: "waiting" },
  held: { icon: "pause", level: "wait", group: "waiting" },
  stopped: { icon: "stop", level: "quiet", group: "stopped" },
  aborted: { icon: "fault", level: "alarm", group: "stopped" },
  none: { icon: "link", level: "normal", group: null },
  unknown: { icon: "unknown", level: "lost", group: "lost" },
};

const REASONS = {
  off: { icon: "off" },
  starved: { icon: "wait" },
  blocked: { icon: "blocked" },
  setup: { icon: "wrench" },
  maintenance: { icon: "wrench" },
  fault: { icon: "fault", level: "alarm" },
  emergency_stop: { icon: "estop", level: "alarm" },
  comm: { icon: "cut", level: "lost", group: "lost" },
  frozen: { level: "lost", group: "lost" },
  refused: { level: "lost", group: "lost" },
  wrong_device: { level: "lost", group: "lost" },
};

/** Return the age of a station's data in ms (Infinity: it never answered). */
export function age(station, now) {
  return station.seen_ms === null ? Infinity : Math.max(0, now - station.seen_ms);
}

/** Return {icon, level, group, word}; old data keep their word, as what was known last. */
export function present(station, now) {
  const { state, reason } = station;
  const known = {
    ...(STATES[state] ?? STATES.unknown),
    ...REASONS[reason],
    word: reason ? word("reason", reason) : word("state", state),
  };
  const stale = station.cut || age(station, now) > station.stale_after_s * 1000;
  return stale ? { ...known, icon: "old", level: "stale", group: "lost" } : known;
}

const PRIORITIES = ["critical", "high", "medium", "low"];

/** Sort alarms: the gravest first, then the oldest. */
export function ranked(alarms) {
  const rank = ({ priority }) => PRIORITIES.indexOf(priority);
  return [...alarms].sort((a, b) => rank(a) - rank(b) || a.since_ms - b.since_ms);
}

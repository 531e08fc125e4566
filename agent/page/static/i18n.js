// Words, numbers and times in the language and the time zone of the place.

import { chosen } from "./settings.js";

export const LANGUAGES = ["id", "en"];

let language = "id";
let words = {};
let zone = undefined;

/** Return the language to begin with: the address, an earlier choice, the browser, Indonesian. */
export function preferred() {
  const wanted = [chosen("lang"), ...navigator.languages.map((tag) => tag.split("-")[0])];
  return wanted.find((each) => LANGUAGES.includes(each)) ?? "id";
}

export function spoken() {
  return language;
}

export async function speak(wanted) {
  const answer = await fetch(new URL(`./i18n/${wanted}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`no catalogue for ${wanted}: ${answer.status}`);
  words = await answer.json();
  language = wanted;
  document.documentElement.lang = wanted;
}

/** Take the plant's time zone; one that the browser does not know leaves its own. */
export function settle(timezone) {
  try {
    new Intl.DateTimeFormat("id", { timeZone: timezone });
    zone = timezone;
  } catch {
    zone = undefined;
  }
}

export function t(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Say a number of things, in the right plural. */
export function tn(key, n) {
  const one = cached(Intl.PluralRules, {}).select(n) === "one";
  return t(one ? `${key}.one` : `${key}.other`, { n: number(n, 0) });
}

/** Return the word for a code of the agent, or the code itself when there is none. */
export function word(group, code) {
  return words[`${group}.${code}`] ?? code;
}

/** Choose from texts in several languages, as profiles hold them. */
export function pick(texts) {
  return texts?.[language] || texts?.en || texts?.id || "";
}

const formats = new Map();

function cached(Format, options) {
  const locale = language === "id" ? "id-ID" : "en-GB";
  const key = Format.name + locale + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Format(locale, options));
  return formats.get(key);
}

export function number(value, decimals) {
  const digits = decimals === null || decimals === undefined
    ? { maximumFractionDigits: 3 }
    : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return cached(Intl.NumberFormat, digits).format(value);
}

/** 14.05, or Sel 14.05 when that was not today. */
export function time(ms, now) {
  const day = { timeZone: zone, day: "numeric", month: "short" };
  const hour = { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const at = cached(Intl.DateTimeFormat, hour).format(ms);
  const date = cached(Intl.DateTimeFormat, day);
  return date.format(ms) === date.format(now) ? at : `${date.format(ms)} ${at}`;
}

/** 14.05.12 */
export function seconds(ms) {
  const options = { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return cached(Intl.DateTimeFormat, options).format(ms);
}

/** Kam, 14 Mei · WIB */
export function today(ms) {
  const options = { timeZone: zone, weekday: "short", day: "numeric", month: "short" };
  const name = { timeZone: zone, timeZoneName: "short" };
  const parts = new Intl.DateTimeFormat("id-ID", name).formatToParts(ms); // English knows no WIB
  const short = parts.find(({ type }) => type === "timeZoneName").value;
  return `${cached(Intl.DateTimeFormat, options).format(ms)} · ${short}`;
}

/** How long: 42 dtk, 12 mnt, 3 jam 5 mnt, 2 hari. */
export function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return t("span.s", { s });
  const m = Math.floor(s / 60);
  if (m < 60) return t("span.m", { m });
  const h = Math.floor(m / 60);
  if (h < 24) return m % 60 ? t("span.hm", { h, m: m % 60 }) : t("span.h", { h });
  return tn("span.d", Math.floor(h / 24));
}

export function ago(ms) {
  return ms < 2000 ? t("ago.now") : t("ago", { span: span(ms) });
}

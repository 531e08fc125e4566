// The page's heart: what the agent says goes into the board, the board is drawn, time passes.

import { Board } from "./board.js";
import { attr, el, keyed, text } from "./dom.js";
import { detailPart } from "./detail.js";
import { updateHead, updateSummary } from "./head.js";
import { icon, reshape } from "./icons.js";
import { LANGUAGES, preferred, settle, speak, spoken, t } from "./i18n.js";
import { choose, chosen, kiosk } from "./settings.js";
import { Stream } from "./stream.js";
import { tilePart } from "./tile.js";

const BEAT_MS = 500;
const root = document.documentElement;
const main = document.getElementById("main");
const summary = document.getElementById("summary");
const tiles = el("ul", { class: "tiles" });
const nothing = el("p", { class: "nothing" });
const board = new Board();
let stream = null;
let detail = null; // {name, part} while a station's own screen is open

function draw() {
  const now = board.clock.now();
  const { dead } = stream;
  updateHead(board, now, dead);
  if (board.site === null) return;
  const stations = board.stations(dead);
  updateSummary(board.site, stations, now);
  const name = decodeURIComponent(location.hash.slice(2));
  const station = stations.find((each) => each.name === name);
  if (!station) overview(stations, now, name);
  else if (detail?.name === name) detail.part.update({ station, now });
  else open(station, now);
}

function overview(stations, now, missing) {
  if (detail !== null || !main.contains(tiles)) {
    main.replaceChildren(nothing, tiles);
    main.querySelector(`[href="#/${CSS.escape(encodeURIComponent(detail?.name ?? ""))}"]`)?.focus();
    detail = null;
  }
  const items = stations.map((station) => ({ station, now }));
  keyed(tiles, items, ({ station }) => station.name, ({ station }) => tilePart(station));
  text(nothing, missing ? t("missing", { name: missing }) : items.length ? "" : t("empty"));
}

function open(station, now) {
  const first = !main.hasChildNodes();
  detail = { name: station.name, part: detailPart() };
  detail.part.update({ station, now });
  main.replaceChildren(detail.part.node);
  if (!first) main.querySelector(".back").focus({ preventScroll: true });
  scrollTo(0, 0);
}

function hear(kind, data) {
  if (kind === "hello") {
    const { content } = document.querySelector("meta[name=release]");
    if (content !== data.release) location.reload(); // the agent has been updated
    return;
  }
  board[kind](data);
  if (data.site) settle(data.site.timezone);
  requestAnimationFrame(draw);
}

function beat() {
  if (document.hidden) return;
  stream.check();
  draw();
}

function wake() {
  if (document.hidden) stream.close();
  else stream.open();
  draw();
}

function controls() {
  const [language, theme] = document.querySelectorAll("#controls button");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => attr(root, "data-theme", chosen("theme") ?? (dark.matches ? "dark" : "light"));
  const label = () => {
    const other = LANGUAGES.find((each) => each !== spoken());
    text(language, other.toUpperCase());
    attr(language, "aria-label", t("language"));
    attr(theme, "aria-label", t("theme"));
    attr(summary, "aria-label", t("summary"));
    reshape(theme.firstChild, root.dataset.theme === "dark" ? "light" : "dark");
  };
  theme.append(icon("dark"));
  theme.addEventListener("click", () => {
    choose("theme", root.dataset.theme === "dark" ? "light" : "dark");
    paint();
    label();
  });
  language.addEventListener("click", async () => {
    const other = LANGUAGES.find((each) => each !== spoken());
    await speak(other);
    choose("lang", other);
    label();
    draw();
  });
  dark.addEventListener("change", () => {
    paint();
    label();
  });
  paint();
  label();
}

attr(root, "data-kiosk", kiosk);
await speak(preferred());
stream = new Stream(hear);
controls();
draw();
setInterval(beat, BEAT_MS);
addEventListener("hashchange", draw);
addEventListener("pageshow", draw);
document.addEventListener("visibilitychange", wake);

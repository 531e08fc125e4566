// The link to the agent: an EventSource that is watched, since a dead network tells it nothing.

import { Stopwatch } from "./clock.js";

const SILENT_MS = 5000;

export class Stream {
  #source = null;
  #heard = new Stopwatch();
  #tried = new Stopwatch();
  #listener;

  /** `listener(kind, data)` hears the events hello, snapshot, delta and tick. */
  constructor(listener) {
    this.#listener = listener;
    this.open();
  }

  /** Whether the agent has been silent for too long; it ticks once a second. */
  get dead() {
    return this.#heard.ms() > SILENT_MS;
  }

  /** Start anew when the agent is silent, or when it refused us and the browser has given up. */
  check() {
    if (this.dead && this.#tried.ms() > SILENT_MS) this.open();
  }

  open() {
    this.close();
    this.#tried.restart();
    this.#source = new EventSource("/events");
    for (const kind of ["hello", "snapshot", "delta", "tick"]) {
      this.#source.addEventListener(kind, (event) => {
        this.#heard.restart();
        this.#listener(kind, JSON.parse(event.data));
      });
    }
  }

  close() {
    this.#source?.close();
    this.#source = null;
  }
}

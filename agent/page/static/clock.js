// The agent's clock, as seen from here. A browser's own clock may be years wrong.

const REMEMBERED = 20; // frames: an agent that sets its clock back is believed within 20 s

/**
 * Estimates the agent's time from its frames. A frame that was long under way tells an early time,
 * and would make old data look young: so the latest of the last few estimates counts.
 */
export class Clock {
  #offsets = [];

  hear(time_ms) {
    this.#offsets.push(time_ms - performance.now());
    if (this.#offsets.length > REMEMBERED) this.#offsets.shift();
  }

  /** Return the agent's time in ms, or null before its first frame. */
  now() {
    return this.#offsets.length ? performance.now() + Math.max(...this.#offsets) : null;
  }
}

/** Measures time that passed here, sleep of the machine included. */
export class Stopwatch {
  #monotonic = performance.now();
  #wall = Date.now();

  restart() {
    this.#monotonic = performance.now();
    this.#wall = Date.now();
  }

  ms() {
    return Math.max(performance.now() - this.#monotonic, Date.now() - this.#wall);
  }
}

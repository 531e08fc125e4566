// What this page knows of the line: whole frames replace it, deltas change it.

import { Clock } from "./clock.js";

export class Board {
  site = null;
  clock = new Clock();
  heard_ms = null; // the agent's time of the last thing it said
  #stations = new Map();
  #uplinks = new Map();

  /** Return all stations; of a `dead` agent's, nothing can be young, whatever their ages. */
  stations(dead) {
    return [...this.#stations.values()].map((station) => ({ ...station, cut: dead }));
  }

  get uplinks() {
    return [...this.#uplinks.values()];
  }

  snapshot(frame) {
    this.#stations.clear();
    this.#uplinks.clear();
    this.delta(frame);
  }

  delta(frame) {
    this.tick(frame);
    this.site = frame.site ?? this.site;
    for (const station of frame.stations ?? []) this.#stations.set(station.name, station);
    for (const uplink of frame.uplinks ?? []) this.#uplinks.set(uplink.name, uplink);
  }

  tick({ time_ms }) {
    this.clock.hear(time_ms);
    this.heard_ms = time_ms;
  }
}

"""Every InfluxQL query of the dashboards, in the subset that InfluxDB 1.x, 2.x and 3.x share.

The names are those of the wire schema; tests hold them against it and run every query on a real
database. Grafana fills in `$timeFilter`, `$__interval` and the variables. What is grouped by must
be a tag: by a field, InfluxQL silently makes one group. A sub-query loses its tags unless the
outer one groups by them again. There is no CASE: min(a, b) is ((a + b) - ABS(a - b)) / 2.
"""

# A station that is silent since last week must still be listed: these do not end with the window.
_LOOK_BACK = "time > now() - 30d"
_SITE = '"site" =~ /^$site$/'
_LINE = f'{_SITE} AND "line" =~ /^$line$/'
_PLACE = f'{_LINE} AND "station" =~ /^$station$/'
_WINDOW = f"$timeFilter AND {_PLACE}"
_LATEST = f"{_LOOK_BACK} AND {_PLACE}"
_EACH_INTERVAL = 'time($__interval), "station"'

PARTS = '"weld", "cell", "formation_step"'
COUNTED = '"ok" >= 0'  # test parts and unknown results have no `ok`
REJECTED = '"ok" = 0'
LINE_POWER = "power_total"
COOLANT_TEMPERATURE = "outlet_temperature"
WEAR = "welds_since_dress"

# The 95 % upper bound of a Poisson count (Wilson and Hilferty); k is the rejects plus one. With
# none it is 2.97, the rule of three.
_UPPER = 'POW(1.0 - 1.0 / (9.0 * "k") + 1.645 / (3.0 * SQRT("k")), 3) * "k"'


def select(what: str, source: str, where: str = "", by: str = "", tail: str = "") -> str:
    """Return one SELECT; empty clauses are left out."""
    clauses = (("SELECT", what), ("FROM", source), ("WHERE", where), ("GROUP BY", by))
    return " ".join([*(f"{word} {body}" for word, body in clauses if body), tail]).rstrip()


# --- variables


def tag_values(tag: str, source: str) -> str:
    """Return the values of a tag of the place, within what was chosen above it."""
    chosen = {"site": "", "line": f" WHERE {_SITE}", "station": f" WHERE {_LINE}"}[tag]
    return f'SHOW TAG VALUES FROM "{source}" WITH KEY = "{tag}"{chosen}'


# --- line status


def states() -> str:
    """Return the highest state code of each interval: a short fault is never smoothed away."""
    return select('max("code") AS "code"', '"state"', _WINDOW, f"{_EACH_INTERVAL} fill(null)")


def parts_per_hour() -> str:
    """Return good and rejected parts of each hour, by station."""
    what = 'sum("ok") AS "OK", count("ok") - sum("ok") AS "NG"'
    return select(what, PARTS, _WINDOW, 'time(1h), "station" fill(none)')


def yields() -> str:
    """Return first-pass yield, number of parts, rejects and PPM with its bound, by station."""
    counts = select(
        'mean("ok") AS "fpy", count("ok") AS "n", count("ok") - sum("ok") AS "ng", '
        'count("ok") - sum("ok") + 1 AS "k"',
        PARTS,
        _WINDOW,
        '"station"',
    )
    what = (
        '"fpy", "n", "ng", 1000000.0 * "ng" / "n" AS "ppm", '
        f'1000000.0 * {_UPPER} / "n" AS "ppm_upper"'
    )
    return select(what, f"({counts})", by='"station"')


def rejects(source: str) -> str:
    """Return how many parts were rejected for each reason."""
    return select('count("ok") AS "n"', source, f"{_WINDOW} AND {REJECTED}", '"code"')


def freshness() -> str:
    """Return the newest sample of each station that holds a value, and its bad values.

    A sample whose every value is missing only says that the machine is silent.
    """
    holds_a_value = r'("bad" = 0 OR "quality" !~ /^\*/)'
    return select(
        'last("bad") AS "bad"', '"telemetry"', f"{_LATEST} AND {holds_a_value}", '"station"'
    )


def open_alarms(language: str) -> str:
    """Return the alarms whose last word is that they are up, since when, in a language."""
    last = select(
        f'last("active") AS "active", "text_{language}" AS "text"',
        '"alarm"',
        _LATEST,
        '"station", "code", "priority"',
    )
    what = '"active", "text"'
    return select(what, f"({last})", '"active" = 1', '"station", "code", "priority"')


def stored() -> str:
    """Return how many part records each station has stored."""
    return select('count("seq") AS "stored"', PARTS, _WINDOW, '"station"')


def lost() -> str:
    """Return how many part records each station's agent reported as lost; no row for none."""
    where = f"{_WINDOW} AND \"kind\" = 'records_lost'"
    return select('sum("count") AS "lost"', '"event"', where, '"station"')


def agents() -> str:
    """Return the last word of each agent."""
    what = '"version", "uptime_s", "queue_messages", "queue_age_s", "rss_mb"'
    where = f"{_LOOK_BACK} AND {_SITE}"
    return select(what, '"agent"', where, '"agent"', "ORDER BY time DESC LIMIT 1")


def trend(field: str) -> str:
    """Return the mean of a telemetry field in each interval, by station."""
    what = f'mean("{field}") AS "{field}"'
    return select(what, '"telemetry"', _WINDOW, f"{_EACH_INTERVAL} fill(none)")


# --- welding; `$char` is the chosen characteristic, its limits travel in every record

# A value that is marked doubtful enters no statistic. A row without faults has no `quality`.
_TRUSTED = '("bad" = 0 OR "quality" !~ /(^| )${char}:/)'
_JUDGED = f"{_WINDOW} AND {COUNTED} AND {_TRUSTED}"


def extremes() -> str:
    """Return lowest and highest value of each interval: zoomed in, every single weld."""
    what = 'min("${char}") AS "min", max("${char}") AS "max"'
    return select(what, '"weld"', _JUDGED, f"{_EACH_INTERVAL} fill(none)")


def rejected_extremes() -> str:
    """Return the same of the rejected welds alone."""
    what = 'min("${char}") AS "NG min", max("${char}") AS "NG max"'
    where = f"{_WINDOW} AND {REJECTED} AND {_TRUSTED}"
    return select(what, '"weld"', where, f"{_EACH_INTERVAL} fill(none)")


def limits() -> str:
    """Return the specification limits that the welds of each interval were judged by."""
    what = 'last("${char}_lsl") AS "LSL", last("${char}_usl") AS "USL"'
    return select(what, '"weld"', _WINDOW, f"{_EACH_INTERVAL} fill(none)")


def values() -> str:
    """Return the newest 20 000 values of each station: a histogram is Grafana's own work."""
    tail = "ORDER BY time DESC LIMIT 20000"
    return select('"${char}"', '"weld"', _JUDGED, '"station"', tail)


def capability() -> str:
    """Return n, mean, standard deviation, limits and Ppk (sigma overall) of each station."""
    basics = select(
        'count("${char}") AS "n", mean("${char}") AS "mean", stddev("${char}") AS "sigma", '
        'last("${char}_lsl") AS "lsl", last("${char}_usl") AS "usl"',
        '"weld"',
        _JUDGED,
        '"station"',
    )
    kept = '"n", "mean", "sigma", "lsl", "usl"'
    what = f'{kept}, "n" AS "basis", {_LOWER_OF_BOTH} AS "ppk"'
    sides = select(f"{kept}, {_sides('sigma')}", f"({basics})", by='"station"')
    return select(what, f"({sides})", by='"station"')


def capability_within() -> str:
    """Return Cpk of each station: sigma within, from the mean moving range / 1.128."""
    level = select(
        '"${char}" AS "x", "${char}_lsl" AS "lsl", "${char}_usl" AS "usl"',
        '"weld"',
        _JUDGED,
        '"station"',
    )
    ranges = select('ABS(difference("${char}")) AS "range"', '"weld"', _JUDGED, '"station"')
    basics = select(
        'mean("x") AS "mean", mean("range") / 1.128 AS "within", '
        'last("lsl") AS "lsl", last("usl") AS "usl"',
        f"({level}), ({ranges})",
        by='"station"',
    )
    sides = select(_sides("within"), f"({basics})", by='"station"')
    return select(f'{_LOWER_OF_BOTH} AS "cpk"', f"({sides})", by='"station"')


_LOWER_OF_BOTH = '(("upper" + "lower") - ABS("upper" - "lower")) / 2'


def _sides(sigma: str) -> str:
    return (
        f'("usl" - "mean") / (3 * "{sigma}") AS "upper", '
        f'("mean" - "lsl") / (3 * "{sigma}") AS "lower"'
    )


def wear() -> str:
    """Return the newest 5 000 welds as pairs: welds since the electrode was dressed, value."""
    return select(
        f'"{WEAR}", "${{char}}" AS "value"', '"weld"', _JUDGED, tail="ORDER BY time DESC LIMIT 5000"
    )


def rejected_welds() -> str:
    """Return the last 50 rejected welds with serial, value and limits."""
    what = (
        '"station", "program", "code", "serial", "${char}" AS "value", '
        '"${char}_lsl" AS "lsl", "${char}_usl" AS "usl"'
    )
    tail = "ORDER BY time DESC LIMIT 50"
    return select(what, '"weld"', f"{_WINDOW} AND {REJECTED}", tail=tail)


def process_events() -> str:
    """Return what happened at the stations, for the annotations."""
    return select('"kind", "station", "reason", "count"', '"event"', _WINDOW)

"""The tables of the genealogy, and how large they grow.

Nothing but `known` and `due` is ever changed or deleted (and a part's kind written once): a correction is a
later row, and the queries let the latest count. A record takes about 100 bytes with its share of the indexes, so a year of ten
million records is about 1 GB; nothing is thinned out, since a part is traced as long as it lives.
"""

TABLES = """
CREATE TABLE IF NOT EXISTS station (
    id INTEGER PRIMARY KEY, site TEXT NOT NULL, line TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (site, line, name)
);
CREATE TABLE IF NOT EXISTS source (  -- of records: a station and the kind of its records
    id INTEGER PRIMARY KEY, station INTEGER NOT NULL, kind TEXT NOT NULL, UNIQUE (station, kind)
);
CREATE TABLE IF NOT EXISTS object (  -- space: what may share a name; kind: "" until a record tells
    id INTEGER PRIMARY KEY, serial TEXT NOT NULL, space INTEGER NOT NULL, kind TEXT NOT NULL DEFAULT '',
    UNIQUE (serial, space)
);
CREATE TABLE IF NOT EXISTS outcome (  -- few: result, code and tags that records have in common
    id INTEGER PRIMARY KEY, result TEXT NOT NULL, code TEXT NOT NULL, tags TEXT NOT NULL,
    UNIQUE (result, code, tags)
);
CREATE TABLE IF NOT EXISTS record (
    source INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    time_ns INTEGER NOT NULL, part INTEGER, position INTEGER, outcome INTEGER NOT NULL,
    PRIMARY KEY (source, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_part ON record (part) WHERE part IS NOT NULL;
CREATE INDEX IF NOT EXISTS record_time ON record (source, time_ns);
CREATE INDEX IF NOT EXISTS record_orphan ON record (source, epoch, seq) WHERE part IS NULL;
CREATE TABLE IF NOT EXISTS resolution (  -- whose record it is, as people say
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    part INTEGER NOT NULL, position INTEGER, time_ns INTEGER NOT NULL, who TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS resolution_record ON resolution (source, epoch, seq);
CREATE INDEX IF NOT EXISTS resolution_part ON resolution (part);
CREATE TABLE IF NOT EXISTS placement (
    id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, position TEXT NOT NULL, child INTEGER NOT NULL,
    time_ns INTEGER NOT NULL, who TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS placement_parent ON placement (parent, position);
CREATE INDEX IF NOT EXISTS placement_child ON placement (child);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, station INTEGER NOT NULL, kind TEXT NOT NULL, time_ns INTEGER NOT NULL,
    object INTEGER, facts TEXT NOT NULL, UNIQUE (station, kind, time_ns)
);
CREATE INDEX IF NOT EXISTS event_object ON event (object) WHERE object IS NOT NULL;
CREATE TABLE IF NOT EXISTS in_force (  -- from this record on, `event` holds for the source
    source INTEGER NOT NULL, subject TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    event INTEGER NOT NULL, PRIMARY KEY (source, subject, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS in_force_event ON in_force (event);
CREATE TABLE IF NOT EXISTS book (id TEXT NOT NULL);  -- one row: whose ledger it is
CREATE TABLE IF NOT EXISTS due (  -- hours whose records the ledger has not told yet
    source INTEGER NOT NULL, epoch INTEGER NOT NULL, hour_ns INTEGER NOT NULL,
    PRIMARY KEY (source, epoch, hour_ns)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (  -- what a register held when it was last seen
    station INTEGER NOT NULL, register TEXT NOT NULL, value TEXT NOT NULL, time_ns INTEGER NOT NULL,
    PRIMARY KEY (station, register)
) WITHOUT ROWID;
"""

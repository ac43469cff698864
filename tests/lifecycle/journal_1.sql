-- sqlfluff:dialect:sqlite
-- The journal's tables. All times are microseconds since 1970 UTC, paths raw bytes; `job` is the number of a job.
-- Volumes, approvals, cancellations, holds and releases are events: what they say is in the chain, and nowhere else.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY,
    at_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL, -- JSON, canonical
    previous BLOB NOT NULL,
    hash BLOB NOT NULL
);

CREATE INDEX events_of_subject ON events (subject, kind);

CREATE INDEX events_of_holds ON events (kind)
WHERE kind IN ('hold_placed', 'hold_released');

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT raise(ABORT, 'the audit trail is append-only');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT raise(ABORT, 'the audit trail is append-only');
END;

CREATE TABLE jobs (
    job INTEGER NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    plan_hash TEXT NOT NULL,
    action TEXT NOT NULL,
    policy TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    actor TEXT NOT NULL,
    of_job TEXT,
    state TEXT NOT NULL DEFAULT 'open',
    finished_us INTEGER,
    UNIQUE (kind, plan_hash)
);

-- What was intended: never changed.
CREATE TABLE steps (
    job INTEGER NOT NULL,
    step INTEGER NOT NULL,
    action TEXT NOT NULL,
    volume TEXT NOT NULL,
    path BLOB NOT NULL,
    fingerprint TEXT NOT NULL, -- JSON
    sha256 BLOB,
    target_volume TEXT,
    target_path BLOB,
    link_group INTEGER,
    kept_path BLOB,
    of_job TEXT,
    of_step INTEGER,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL, -- JSON
    PRIMARY KEY (job, step)
) WITHOUT ROWID;

CREATE INDEX steps_of_step ON steps (of_job, of_step)
WHERE of_job IS NOT NULL;

-- How far each step came: apart from `steps`, so that a commit writes few pages.
CREATE TABLE progress (
    job INTEGER NOT NULL,
    step INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    state TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    reason TEXT,
    retry INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    key TEXT,
    temp_inode INTEGER,
    sha256 BLOB,
    target_fingerprint TEXT, -- JSON
    quarantine_fingerprint TEXT, -- JSON
    losses TEXT, -- JSON
    undone_by TEXT,
    PRIMARY KEY (job, step)
) WITHOUT ROWID;

CREATE INDEX progress_of_chunk ON progress (job, chunk);

-- Its condition is that of the query in `Journal.chunks`, word by word.
CREATE INDEX progress_that_lives ON progress (job, chunk)
WHERE state IN ('PLANNED', 'CLAIMED', 'COPYING', 'VERIFIED', 'PUBLISHED', 'RETIRING', 'GUARDED', 'PURGING');

CREATE TABLE counts (
    job INTEGER NOT NULL,
    state TEXT NOT NULL,
    steps INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (job, state)
) WITHOUT ROWID;

-- The copies that are going or gone: they count for nobody until they are released.
CREATE TABLE ledger (
    job INTEGER NOT NULL,
    step INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    volume TEXT NOT NULL,
    path BLOB NOT NULL,
    PRIMARY KEY (job, step)
) WITHOUT ROWID;

CREATE INDEX ledger_of_content ON ledger (sha256);

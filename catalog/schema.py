"""The columns of every stored table: the only list of them."""

import pyarrow as pa

from catalog.columns import DIGEST, FLAG, INT, SMALL, TEXT, TIMESTAMP, WORD
from catalog.derived import COPIES, DUPLICATE_GROUPS, HISTORY, ORPHANS, ROLLUP, STORED_FILES, VERDICTS

# Stored with every file; `scan_id` and `volume` are partition values of the Delta log, not columns of a file.
ENTRIES = pa.schema(
    [
        ("entry_id", INT),  # unique within a scan: shard number * 2**32 + row
        ("dir", WORD),  # escaped, relative, with its trailing slash; the root is ''
        ("name", TEXT),  # escaped
        ("path_hash", INT),  # see hashes.of_path
        ("extension", WORD),  # lower case, without the dot; null = none
        ("type", WORD),  # file | dir | symlink | object | delete_marker | special
        ("size_bytes", INT),
        ("allocated_bytes", INT),
        ("modified_at", TIMESTAMP),
        ("accessed_at", TIMESTAMP),
        ("changed_at", TIMESTAMP),
        ("created_at", TIMESTAMP),
        ("modified_ns", SMALL),  # the nanoseconds below the microsecond, 0..999
        ("changed_ns", SMALL),
        ("time_flags", SMALL),  # see TIME_FLAGS
        ("owner", WORD),
        ("group", WORD),
        ("uid", INT),
        ("gid", INT),
        ("mode", SMALL),  # permission bits and file type, as st_mode
        ("fs_id", WORD),  # file-system UUID
        ("inode", INT),
        ("link_count", SMALL),
        ("link_target", TEXT),  # escaped; of a stub 'volume:path' of the archived file
        ("media_type", WORD),
        ("version_id", TEXT),
        ("is_latest", FLAG),
        ("first_recovery_point", TEXT),  # of a version in a backup: the oldest and the newest of RECOVERY_POINTS that hold it
        ("last_recovery_point", TEXT),
        ("storage_class", WORD),  # of a file system only 'stub': left by a job in the place of an archived file
        ("etag", TEXT),
        ("lock_mode", WORD),  # of an object: governance | compliance: it is retained; none: it is known not to be; null = nobody tells
        ("retain_until", TIMESTAMP),
        ("legal_hold", FLAG),
        ("lock_seen_at", TIMESTAMP),  # when its store was asked for these three; null = never, or it did not answer
        (
            "restore_state",
            WORD,
        ),  # of a version in a backup 'whole': all that it is made of is stored, with its exact sizes; of an object in an archive restoring | restored
        ("tags", TEXT),  # JSON; of an object its tags; of a stub 'sha256' and 'size_bytes' of the archived file
        ("digest", DIGEST),  # only where the storage itself attests it
        ("attested_at", TIMESTAMP),  # of what others tell of a volume that is not looked at: the time that it is of; null = seen by the scan
        ("attested_level", SMALL),  # likewise: the verification level that this is worth, 0..2
        ("carried_from", WORD),  # scan that last saw it, where its directory could not be read now; null = seen by this scan
    ]
)

# Of scans that are not stored whole any more: rows that a later scan of the volume did not see as they were. Read by `former`.
FORMER_ENTRIES = pa.schema(
    [
        ("volume", WORD),
        ("first_scan_id", WORD),  # the first of the volume's scans one after the other that saw the row exactly so
        ("gone_scan_id", WORD),  # the first after it that did not
        *(field for field in ENTRIES if field.name != "entry_id"),
    ]
)

# Of a scan that is stored whole, and by which older ones are read: since which of them each row has been there.
ENTRY_ORIGINS = pa.schema([("entry_id", INT), ("first_scan_id", WORD)])

# Of a scan that was looked at to be stored as `former` rows: the ids of its entries in the order of all their columns, as runs; or why it stays whole.
FORMER_SCANS = pa.schema(
    [
        ("place", INT),  # of the run's first entry in that order, from 0
        ("first_entry_id", INT),  # of a run of ids, each one more than the one before
        ("next_scan_id", WORD),  # the scan that it was held against: of its rows, and of what is gone by it, this one is made
        ("stays_whole", WORD),  # changed: too little of it is in the next scan; small: nothing is gained; alike: two rows differ in nothing; else null
    ]
)

# Bits of `time_flags`: a flagged time is kept but never proves that a file is dormant or changed.
TIME_FLAGS = {
    "modified_suspect": 1,  # in the future of the scan, at the epoch, or 1980-01-01
    "modified_range": 2,  # outside 1901..9999, or of what the storage keeps: stored as null
    "accessed_suspect": 4,
    "accessed_range": 8,
    "changed_suspect": 16,
    "changed_range": 32,
    "modified_coarse": 64,  # kept to the second: compared to the second
    "modified_rounded": 128,  # to the microsecond, up or down: compared with one microsecond of difference
    "modified_stored": 256,  # when the storage got the content: of a copy it is no sign of what that is a copy of
}

# Digests and samples that Lastcopy read itself. Append-only; the newest row of an identity and fingerprint holds.
DIGESTS = pa.schema(
    [
        ("volume", WORD),
        ("scan_id", WORD),  # the scan whose entry asked for it
        ("dir", WORD),
        ("name", TEXT),
        ("path_hash", INT),
        ("fs_id", WORD),
        ("inode", INT),
        ("created_at", TIMESTAMP),
        ("size_bytes", INT),
        ("modified_at", TIMESTAMP),
        ("modified_ns", SMALL),
        ("changed_at", TIMESTAMP),
        ("changed_ns", SMALL),
        ("digest", DIGEST),  # null = only a sample was read; without a sample too: the reading failed, at `digested_at`
        ("sample", DIGEST),  # SHA-256 over the first and the last 4 KiB; null for files of at most 64 KiB
        ("accessed_at", TIMESTAMP),  # before our own read
        ("read_started_at", TIMESTAMP),
        ("digested_at", TIMESTAMP),  # when our read ended
        ("bytes_read", INT),
    ]
)

SCANS = pa.schema(
    [
        ("scan_id", TEXT),
        ("volume", TEXT),
        ("kind", TEXT),
        ("state", TEXT),  # complete | incomplete | failed
        ("started_at", TIMESTAMP),
        ("finished_at", TIMESTAMP),
        ("entries", INT),  # seen by this scan; carried entries are counted apart
        ("files", INT),
        ("bytes", INT),  # hard links once
        ("carried_entries", INT),
        ("problems", INT),
        ("excluded", INT),
        ("root_fs_id", TEXT),
        ("device", TEXT),  # as detected, several joined by ','; null = unknown
        ("clock", TEXT),  # accessed | modified: which time tells the last use on this volume
        ("capacity_bytes", INT),
        ("free_bytes", INT),
        ("previous_scan_id", TEXT),
        ("error", TEXT),
        ("host", TEXT),
        ("lastcopy_version", TEXT),
        ("options", TEXT),  # JSON: excludes, cross_mounts, media types; of lists of changes the scan before, and what they missed
        (
            "evidence_at",
            TIMESTAMP,
        ),  # of what others tell of a volume, and where only changes were looked at: the time that the oldest of it is of; null = the start
    ]
)

PROBLEMS = pa.schema(
    [
        ("path", TEXT),  # escaped; a directory's without trailing slash; '' is the root
        ("stage", TEXT),  # list | stat | open | read | changed | name | damaged
        ("error", TEXT),
        ("errno", SMALL),
        ("hides_below", FLAG),  # what lies below the path was not seen
        ("seen_at", TIMESTAMP),
        ("inode", INT),  # of the file, or version, at the path that could not be read; null = whatever has the path
    ]
)

# What a backup repository can give back as a whole: one row a recovery point that a scan saw.
RECOVERY_POINTS = pa.schema(
    [
        ("recovery_point", TEXT),  # its id in the repository
        ("started_at", TIMESTAMP),  # of the backup: what it holds is of that time or later
        ("ended_at", TIMESTAMP),  # null = the repository does not tell
        ("host", TEXT),  # that was backed up, escaped
        ("username", TEXT),
        ("paths", TEXT),  # JSON: what was to be backed up, escaped
        ("excludes", TEXT),  # JSON: patterns of what was left out, in the repository's own notation, escaped
        ("tags", TEXT),  # JSON
        ("left_out", TEXT),  # JSON: what of the patterns is understood, as [at the begin, text]: a path with slashes around it that has the text was left out
    ]
)

# What was said of backups by those who looked: one row a run of a program over a repository, or a file that it gave back. Append-only.
VERIFICATIONS = pa.schema(
    [
        ("volume", TEXT),
        ("repository", TEXT),  # `root_fs_id` of the scan that held when it was recorded
        ("fs_id", TEXT),  # of the versions of files in it, where they have one: its place
        ("method", TEXT),  # restic-check | borg-check | restore | restic-backup | borg-create
        ("tool_version", TEXT),
        ("recovery_point", TEXT),  # that a run made, perhaps the begin of its id, or that a file was restored from
        ("started_at", TIMESTAMP),  # it says nothing of what was stored later
        ("ended_at", TIMESTAMP),
        ("ok", FLAG),  # no error was found that is not told file by file
        ("level", SMALL),  # 0 nothing, as of a run | 1 structure and sizes | 2 all stored bytes, or a part of them | 4 restored and compared
        ("part", INT),  # of what was read part by part, as 2 of 7; null = all, or a part by chance
        ("parts", INT),
        ("share_ppm", INT),  # of the content that was read, in millionths
        ("errors", INT),
        ("seed", INT),  # of a sample by chance
        ("recorded_at", TIMESTAMP),
        ("recorded_by", TEXT),
        ("told", TEXT),  # what the program said of errors, its begin, escaped
        ("dir", TEXT),  # of a file that was restored, or that a run could not read; else null
        ("name", TEXT),
        ("inode", INT),
        ("size_bytes", INT),
        ("modified_at", TIMESTAMP),
    ]
)

SNAPSHOTS = pa.schema(
    [
        ("snapshot_id", TEXT),
        ("as_of", TIMESTAMP),
        ("previous_snapshot_id", TEXT),
        ("complete", FLAG),  # every volume of the configuration has a complete newest scan
        ("scans", TEXT),  # JSON object: volume -> scan id, the newest good one
        ("versions", TEXT),  # JSON object: table -> Delta version
        ("config", TEXT),  # JSON: the configuration that held, without secrets
        ("config_hash", TEXT),
        ("label_tables", TEXT),  # JSON object: place of an imported label table in the configuration -> hash of its rows in `labels`
        ("lastcopy_version", TEXT),
    ]
)

PARTITIONS = {
    "entries": ["scan_id", "volume"],
    "former_entries": [],
    "entry_origins": ["scan_id", "volume"],
    "former_scans": ["scan_id", "volume"],
    "problems": ["scan_id", "volume"],
    "recovery_points": ["scan_id", "volume"],
    "digests": [],
    "scans": [],
    "verifications": [],
    "snapshots": [],
    "labels": ["table_hash"],
    "copies": ["snapshot_id"],
    "files": ["snapshot_id"],
    "verdicts": ["snapshot_id"],
    "duplicate_groups": ["snapshot_id"],
    "orphans": ["snapshot_id"],
    "rollup": ["snapshot_id"],
    "history": ["snapshot_id"],
}

# Rows of imported label tables, stored once by the hash of their content, so that an old snapshot can be derived again.
LABELS = pa.schema(
    [
        ("volume", TEXT),  # null = every volume
        ("path", TEXT),  # escaped; with a trailing slash: all below it
        ("owner", TEXT),
        ("steward", TEXT),
        ("data_class", TEXT),
        ("note", TEXT),
    ]
)

TABLES = {
    "entries": ENTRIES,
    "former_entries": FORMER_ENTRIES,
    "entry_origins": ENTRY_ORIGINS,
    "former_scans": FORMER_SCANS,
    "digests": DIGESTS,
    "scans": SCANS,
    "problems": PROBLEMS,
    "recovery_points": RECOVERY_POINTS,
    "verifications": VERIFICATIONS,
    "snapshots": SNAPSHOTS,
    "labels": LABELS,
    "copies": COPIES,
    "files": STORED_FILES,
    "verdicts": VERDICTS,
    "duplicate_groups": DUPLICATE_GROUPS,
    "orphans": ORPHANS,
    "rollup": ROLLUP,
    "history": HISTORY,
}
DERIVED = ("copies", "files", "verdicts", "duplicate_groups", "orphans", "rollup", "history")
# A scan has the same rows in whichever form it is stored: its rows are read from the tables as they are now, also where a snapshot names a version.
READ_NOW = ("entries", "former_entries", "entry_origins", "former_scans")

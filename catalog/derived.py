"""The columns of what is derived from scans, and stored beside them."""

import pyarrow as pa

from catalog.columns import DIGEST, FLAG, INT, SMALL, TEXT, TIMESTAMP

# One row an asset and volume that has a match with it.
COPIES = pa.schema(
    [
        ("volume", TEXT),  # the asset's
        ("entry_id", INT),
        ("dir", TEXT),
        ("name", TEXT),
        ("copy_volume", TEXT),
        ("copy_dir", TEXT),
        ("copy_name", TEXT),
        ("copy_entry_id", INT),
        ("match", TEXT),  # content | metadata | path_only | older | conflict
        ("is_current", FLAG),
        ("files", INT),  # how many files of the copy's volume hold the content
        ("size_bytes", INT),
        ("modified_at", TIMESTAMP),
        ("verification_level", SMALL),  # the highest that the asset's class accepts at its age, else the highest
        ("verified_at", TIMESTAMP),
        ("own_level", SMALL),  # by our own reading, or what the match says, and when: null where that is the one above
        ("own_verified_at", TIMESTAMP),
        ("restored_at", TIMESTAMP),  # level 4; of a version in a backup, as are the next two
        ("read_at", TIMESTAMP),  # level 2: a program read all of the repository
        ("looked_at", TIMESTAMP),  # level 1: it looked at all of it
        ("usable", TEXT),  # yes | no | unknown
        ("usable_reason", TEXT),
        (
            "lock_mode",
            TEXT,
        ),  # governance | compliance | hold | none: what its object says, or that of the same content which is locked best; null = no object tells
        ("locked_until", TIMESTAMP),
        ("lock_outlasts", TEXT),  # yes | no | unknown: who changes what he can reach is kept from it for the class's retention; null = no object tells
        ("lock_binds", TEXT),  # yes | no | unknown: at the time of the snapshot nobody can change it, not even its admin
        ("seen_at", TIMESTAMP),  # start of the scan that saw it; of what others tell the time that it is of
    ]
)

# One row a regular file of the snapshot. What assets share stands once in VERDICTS; readers see both joined, as FILES.
STORED_FILES = pa.schema(
    [
        ("volume", TEXT),
        ("entry_id", INT),
        ("dir", TEXT),
        ("name", TEXT),
        ("extension", TEXT),
        ("size_bytes", INT),
        ("counted_bytes", INT),  # the size on the first name of a file, 0 on its other hard links, and where nobody tells it: all sums use it
        ("allocated_bytes", INT),
        ("modified_at", TIMESTAMP),
        ("last_active_at", TIMESTAMP),  # without the accesses that our own reading caused; null = no trustworthy time: never dormant
        ("media_type", TEXT),
        ("file_owner", TEXT),  # of the storage
        ("label_owner", TEXT),
        ("steward", TEXT),
        ("note", TEXT),
        ("data_class", TEXT),
        ("first_seen_at", TIMESTAMP),
        ("carried", FLAG),
        ("other_copies", INT),  # other files (hard links once) known to hold the content, on any volume
        ("copy_status", TEXT),  # of a file that is no asset: the worst status of the assets it is a copy of; null = of none
        ("signature_no", SMALL),  # of VERDICTS; null = no asset
        ("verification_level", SMALL),
        ("verified_at", TIMESTAMP),
    ]
)

# One row each combination of evidence, class and exceptions: what holds for all assets that have it.
VERDICTS = pa.schema(
    [
        ("signature_no", SMALL),
        ("status", TEXT),  # protected | partly | unprotected | unknown | excepted
        ("user_error", TEXT),  # yes | no | unknown
        ("ransomware", TEXT),
        ("system_failure", TEXT),
        ("facility_outage", TEXT),
        ("user_error_reasons", TEXT),  # joined by ','; '' = none
        ("ransomware_reasons", TEXT),
        ("system_failure_reasons", TEXT),
        ("facility_outage_reasons", TEXT),
        ("reasons", TEXT),  # of all threats that the class does not waive
        ("not_met", TEXT),  # controls, joined by ','
        ("unknown_controls", TEXT),
        ("copies", INT),
        ("systems", INT),
        ("sites", INT),
        ("offline_or_immutable_copies", INT),
        ("freshness", TEXT),  # current | stale_within_rpo | stale_overdue | new_within_rpo | unprotected | unknown
        ("newest_copy_at", TIMESTAMP),
        ("unseen", TEXT),  # volumes that were not seen to hold it, and may, joined by ','; null = none
    ]
)

# The columns of the view `files`; those of VERDICTS are null where is_asset is false, but for the status.
FILES = pa.schema(
    [
        *[STORED_FILES.field(name) for name in ("volume", "entry_id", "dir", "name", "extension")],
        ("role", TEXT),
        *[STORED_FILES.field(name) for name in ("size_bytes", "counted_bytes", "allocated_bytes", "modified_at", "last_active_at")],
        ("clock", TEXT),
        *[STORED_FILES.field(name) for name in ("media_type", "file_owner")],
        ("owner", TEXT),  # the label's, else the storage's
        *[STORED_FILES.field(name) for name in ("steward", "note", "data_class", "first_seen_at", "carried")],
        ("is_asset", FLAG),
        STORED_FILES.field("other_copies"),
        ("is_last_copy", FLAG),
        *[
            field
            for field in VERDICTS
            if field.name not in ("signature_no", "freshness", "newest_copy_at", "copies", "systems", "sites", "offline_or_immutable_copies")
        ],
        *[VERDICTS.field(name) for name in ("freshness", "copies", "systems", "sites", "offline_or_immutable_copies", "newest_copy_at")],
        *[STORED_FILES.field(name) for name in ("verification_level", "verified_at")],
    ]
)

# One row a file (its first name, where it has several) of a group of equal content. `scope` is 'primary' for all primary volumes together, else the volume.
DUPLICATE_GROUPS = pa.schema(
    [
        ("scope", TEXT),
        ("digest", DIGEST),
        ("size_bytes", INT),
        ("members", INT),  # files, hard links counted once
        ("reclaimable_bytes", INT),  # (members - 1) * size_bytes
        ("volume", TEXT),
        ("entry_id", INT),
        ("dir", TEXT),
        ("name", TEXT),
        ("link_count", SMALL),
        ("modified_at", TIMESTAMP),
        ("accessed_at", TIMESTAMP),
    ]
)

# One row a file of a volume for copies whose content no home is known to hold: what copies keep of data that was deleted or changed.
ORPHANS = pa.schema(
    [
        ("volume", TEXT),
        ("entry_id", INT),
        ("dir", TEXT),
        ("name", TEXT),
        ("size_bytes", INT),
        ("modified_at", TIMESTAMP),
        ("held_at", TIMESTAMP),  # of a version in a backup: begin of the newest recovery point that holds it
        ("kind", TEXT),  # gone | changed | unmapped
        ("certain", TEXT),  # yes | unknown
        ("home_volume", TEXT),  # where its home would be, in the first volume that it may be of; null = nowhere
        ("home_dir", TEXT),
    ]
)

# Sums over files, hard links counted once. Folders hold all that lies below them.
ROLLUP = pa.schema(
    [
        ("by", TEXT),  # folder | owner | extension | media_type | age
        ("volume", TEXT),
        ("key", TEXT),  # folder: its path with the trailing slash; age: lower bound in days, as text; '' = none or the root
        ("depth", SMALL),  # folders: 0 is the root
        ("files", INT),
        ("bytes", INT),
        ("allocated_bytes", INT),
        ("assets", INT),
        ("unprotected_assets", INT),  # status unprotected
        ("unprotected_bytes", INT),
        ("unknown_assets", INT),
        ("last_active_at", TIMESTAMP),
    ]
)

# One row a volume, class and snapshot: kept for all snapshots.
HISTORY = pa.schema(
    [
        ("as_of", TIMESTAMP),
        ("volume", TEXT),
        ("data_class", TEXT),
        ("files", INT),
        ("bytes", INT),
        ("assets", INT),
        ("asset_bytes", INT),
        ("protected_assets", INT),
        ("protected_bytes", INT),
        ("partly_assets", INT),
        ("unprotected_assets", INT),
        ("unprotected_bytes", INT),
        ("unknown_assets", INT),
        ("unknown_bytes", INT),
        ("excepted_assets", INT),
        ("last_copies", INT),
        ("dormant_year_bytes", INT),  # last active more than 365 days before the scan
    ]
)

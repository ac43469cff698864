"""What each key of lastcopy.toml means, in the words of its reference page."""

PREFACE = """\
The file is found by `--config`, `$LASTCOPY_CONFIG`, `./lastcopy.toml`, then `$XDG_CONFIG_HOME/lastcopy/lastcopy.toml`. Relative paths in it
are relative to its folder. An unknown key, a wrong type or a name that does not exist is an error that names file, table and key (exit 2).
What is not given and has no default is *unknown*, and the unknown never counts as protection.

Names of volumes and classes have lower-case letters, digits and `-`. Durations are a number and one of `s`, `m`, `h`, `d`, `w`, `y` (365 days).
Predicates are one boolean expression over columns, as in `path LIKE 'contracts/%'`; they may not contain queries or read files.

`[policies.NAME]`, `[schedule]`, `[notify]` and `[dashboard]` are accepted as they are and have no effect on scans and reports."""

_DOMAIN = "what is the same on two volumes fails together"

MEANINGS: dict[str, str] = {
    "[catalog] path": "the folder of the catalog; keep it off the volumes that it describes",
    "[catalog] currency": "the currency of costs",
    "[catalog] memory_limit": "the most memory that a derivation or a report uses; what does not fit goes to disk. "
    "Absent: for a derivation 256 MiB, or 64 bytes an entry where that is more; for a report most of the machine's",
    "[catalog] threads": "the most threads that a derivation or a report uses",
    "[volumes.NAME] url": "the root: a path is a file tree (kind `posix`); any other scheme names its kind",
    "[volumes.NAME] role": "production, a mirror that follows, a place that keeps versions, or a long-term home; the files of a `primary` are assets",
    "[volumes.NAME] system": f"the storage system; {_DOMAIN}",
    "[volumes.NAME] site": f"the room, building or region; {_DOMAIN}",
    "[volumes.NAME] admin": f"the people or credential that can delete everything on it; {_DOMAIN}",
    "[volumes.NAME] device": "the device; absent: as detected. Volumes of one device are of one system and site",
    "[volumes.NAME] media": "the kind of medium",
    "[volumes.NAME] access": "reached at any time, after a wait, or only when somebody mounts it; a scan of all skips an `offline` one that is not there",
    "[volumes.NAME] cost_per_tib_month": "what a TiB costs a month, in the catalog's currency",
    "[volumes.NAME] exclude": "glob patterns of paths that are not scanned; `**` crosses folders",
    "[volumes.NAME] of": "the volumes that it protects; absent: every primary",
    "[volumes.NAME] path_map": 'where its paths belong: `"folder" = "volume:folder"`; absent: the same path',
    "[volumes.NAME] on": "the volume that it lies on: it shares that one's failure domains",
    "[volumes.NAME] keeps_versions": "how long deleted and overwritten versions are kept; `0d` for none",
    "[volumes.NAME] immutability": "what protects its content from change and deletion",
    "[volumes.NAME] immutable_until": "the day before which it cannot be deleted",
    "[volumes.NAME] key_on": "the volumes that hold what is needed to read it",
    "[volumes.NAME] password_file": "a file with its password; never stored in the catalog",
    "[volumes.NAME] password_command": "a command that prints its password; never stored in the catalog",
    "[volumes.NAME] digest": "what a scan reads of it: nothing, what could have a copy, everything; absent: `match`, and `all` where access is `offline`",
    "[volumes.NAME] media_types": "whether libmagic tells the media type of each file, which reads its head",
    "[volumes.NAME] cross_mounts": "whether other file systems mounted below the root are scanned too",
    "[volumes.NAME] max_loss_pct": "a scan in which more than this share of entries disappeared is refused, unless `--accept-losses` is given",
    "[classes.NAME] select": "which assets belong to it; the first class that holds wins, the rest are in `default`",
    "[classes.NAME] copies": "how many copies there must be, the original included; copies on one device count once",
    "[classes.NAME] systems": "on how many systems, the original's included",
    "[classes.NAME] sites": "at how many sites, the original's included",
    "[classes.NAME] media": "on how many kinds of media, the original's included",
    "[classes.NAME] offline_or_immutable": "how many copies ransomware must not reach, the original included",
    "[classes.NAME] max_copy_age": "how long a change may wait for its copy",
    "[classes.NAME] min_verification_level": "how well a copy must be known: 0 listed, 1 size and time agree, 2 all read, 3 equals the source, 4 restored",
    "[classes.NAME] max_verification_age": "how old that knowledge may be",
    "[classes.NAME] retention": "how long deleted and old versions must be kept; absent: 30 days where a threat asks for it",
    "[classes.NAME] accept_declared": "whether immutability that is only declared here counts",
    "[classes.NAME] waive": "threats that it need not survive; printed wherever it is judged",
    "[[labels]] where": "which entries it is for",
    "[[labels]] table": "a CSV or Parquet file with the columns volume, path, owner, steward, data_class, note",
    "[[labels]] owner": "who owns them",
    "[[labels]] steward": "who cares for them",
    "[[labels]] data_class": "their class, before any `select`",
    "[[labels]] note": "what there is to say",
    "[[exceptions]] where": "which assets it is for",
    "[[exceptions]] reason": "why the finding is accepted",
    "[[exceptions]] owner": "who accepted it",
    "[[exceptions]] until": "the last day on which it holds",
    "[[exceptions]] approver": "who approved it",
    "[[exceptions]] controls": "the controls that it covers; absent: all",
}

"""What each key of lastcopy.toml means, in the words of its reference page."""

PREFACE = """\
The file is found by `--config`, `$LASTCOPY_CONFIG`, `./lastcopy.toml`, then `$XDG_CONFIG_HOME/lastcopy/lastcopy.toml`. Relative paths in it
are relative to its folder. An unknown key, a wrong type or a name that does not exist is an error that names file, table and key (exit 2).
What is not given and has no default is *unknown*, and the unknown never counts as protection.

Names of volumes and classes have lower-case letters, digits and `-`. Durations are a number and one of `s`, `m`, `h`, `d`, `w`, `y` (365 days).
Predicates are one boolean expression over columns, as in `path LIKE 'contracts/%'`; they may not contain queries or read files.

A policy takes the rows of one report, or the assets of one class, and says what is to be done with them; `lastcopy plan create NAME` turns it
into a plan. `purge` and `recall` need neither: they take what the journal knows, and their `where` asks for `volume`, `path`, `size_bytes`,
`archive_volume`, `archive_path`, `action`, `job` and `taken_at`. `[schedule]`, `[notify]` and `[dashboard]` have no effect on scans, reports and jobs."""

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
    "[volumes.NAME] max_loss_pct": "a scan in which more than this share of entries vanished that no job took is refused, unless `--accept-losses` is given",
    "[classes.NAME] select": "which assets belong to it; the first class that holds wins, the rest are in `default`",
    "[classes.NAME] copies": "how many copies there must be, the original included; copies on one device count once",
    "[classes.NAME] systems": "on how many systems, the original's included",
    "[classes.NAME] sites": "at how many sites, the original's included",
    "[classes.NAME] media": "on how many kinds of media, the original's included",
    "[classes.NAME] offline_or_immutable": "how many copies ransomware must not reach, the original included",
    "[classes.NAME] max_copy_age": "how long a change may wait for its copy; until then a version that was written within that time counts",
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
    "[policies.NAME] action": "what is done: `copy`, `archive`, `recall`, `restore`, `dedupe`, `delete` or `purge`",
    "[policies.NAME] report": "the report whose rows are taken, in its order; absent: `dormant-copies` for archive and delete, "
    "`duplicates` for dedupe, `assets` for restore",
    "[policies.NAME] data_class": "in place of a report: the class whose assets are taken",
    "[policies.NAME] params": "parameters of the report",
    "[policies.NAME] where": "which rows are taken: a predicate over the report's columns",
    "[policies.NAME] to": "the volume that files go to; needed by copy, archive and restore",
    "[policies.NAME] to_folder": "of restore, in place of `to`: the path of a folder outside of every volume; it must be there",
    "[policies.NAME] to_dir": "the folder of it that they go to; below it, each keeps its path",
    "[policies.NAME] max_steps": "the most files of one plan; what comes after, in the order of the report, is left out",
    "[policies.NAME] max_bytes": "the most bytes of one plan",
    "[policies.NAME] max_share_pct": "the most of a volume that one plan may take from, in per cent of its files and of its bytes",
    "[policies.NAME] quiet": "files that were modified or changed within it are left alone",
    "[policies.NAME] needs_approval": "whether somebody must approve a plan before it runs",
    "[policies.NAME] two_persons": "whether that must be another person than the one who created it",
    "[policies.NAME] expires": "how long after it was made a plan may be approved and begun",
    "[policies.NAME] min_copies": "how many verified, independent copies must stay of what is taken away; never less than `[lifecycle] min_copies`",
    "[policies.NAME] grace": "how long what was taken away stays in quarantine before a purge may take it",
    "[policies.NAME] leave": "what archive leaves at the file's name",
    "[policies.NAME] hard_links": "whether dedupe may make hard links where blocks cannot be shared",
    "[policies.NAME] steps_per_second": "the most files that a job touches a second",
    "[policies.NAME] bytes_per_second": "the most that a job copies a second",
    "[policies.NAME] hours": 'the hours of the day in which a job works, by the clock of its host, as `"22:00-06:00"`',
    "[lifecycle] journal": "the folder of the journal, on a disk of this host; absent: `journal` in the catalog's folder",
    "[lifecycle] min_copies": "how many verified, independent copies must stay of whatever is taken away, the taken one not counted",
    "[lifecycle] max_evidence_age": "how old the reading of a copy may be that a removal rests on",
    "[lifecycle] max_failures_pct": "a job with a greater share of changed or failed steps is suspended",
    "[lifecycle] kill_switch": "while this file exists no step is begun; absent: `STOP` beside the journal",
}

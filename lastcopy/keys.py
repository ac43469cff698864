"""What each key of lastcopy.toml means, in the words of its reference page."""

PREFACE = """\
The file is found by `--config`, `$LASTCOPY_CONFIG`, `./lastcopy.toml`, then `$XDG_CONFIG_HOME/lastcopy/lastcopy.toml`. Relative paths in it
are relative to its folder. An unknown key, a wrong type or a name that does not exist is an error that names file, table and key (exit 2).
What is not given and has no default is *unknown*, and the unknown never counts as protection.

Names of volumes and classes have lower-case letters, digits and `-`. Durations are a number and one of `s`, `m`, `h`, `d`, `w`, `y` (365 days).
Predicates are one boolean expression over columns, as in `path LIKE 'contracts/%'`; they may not contain queries or read files.
`text ~ 'pattern'`, as `regexp_matches`, finds a regular expression (RE2) anywhere in the text: `'^…$'` asks for the whole.

A policy takes the rows of one report, or the assets of one class, and says what is to be done with them; `lastcopy plan create NAME` turns it
into a plan. `purge` and `recall` need neither: they take what the journal knows, and their `where` asks for `volume`, `path`, `size_bytes`,
`archive_volume`, `archive_path`, `action`, `job` and `taken_at`. `[schedule]`, `[notify]`, `[dashboard]` and `[api]` are for `lastcopy serve`."""

_DOMAIN = "what is the same on two volumes fails together"

MEANINGS: dict[str, str] = {
    "[catalog] path": "the folder of the catalog; keep it off the volumes that it describes. `s3://BUCKET/PREFIX` is a catalog on an object store, "
    "which several hosts may share; the extra `s3` reaches it",
    "[catalog] endpoint": "of a catalog on an object store: its address, as `https://s3.example.org:9000`; absent: Amazon's",
    "[catalog] endpoint_region": "of a catalog on an object store: the region that requests are signed for",
    "[catalog] profile": "of a catalog on an object store: a profile of the SDK's files",
    "[catalog] credentials_file": "of a catalog on an object store: a file of keys in the SDK's form, relative to the folder of the configuration; "
    "never stored in the catalog",
    "[catalog] credentials_command": "of a catalog on an object store: a command that prints keys in the form of the SDK's `credential_process`; "
    "never stored in the catalog",
    "[catalog] metadata_server": "of a catalog on an object store: whether keys may be asked of the service that a cloud runs for its machines",
    "[catalog] mirror": "of a catalog on an object store: the folder of this host that holds what was read of it; "
    "absent: below `~/.local/state/lastcopy/catalogs`",
    "[catalog] currency": "the currency of costs",
    "[catalog] memory_limit": "the most memory that a derivation or a report uses; what does not fit goes to disk. "
    "Absent: for a derivation 256 MiB, or 64 bytes an entry where that is more; for a report most of the machine's",
    "[catalog] threads": "the most threads that a derivation or a report uses",
    "[volumes.NAME] url": "the root: a path is a file tree (kind `posix`); any scheme names its kind: `container:PATH` has archives, "
    "`restic:PATH` and `borg:PATH` are backup repositories, `s3://BUCKET/PREFIX` is a bucket, "
    "`manifest:PATH`, `listing:PATH` and `bacula:PATH` tell what a volume that is not looked at holds",
    "[volumes.NAME] role": "production, a mirror that follows, a place that keeps versions, or a long-term home; the files of a `primary` are assets",
    "[volumes.NAME] system": f"the storage system; {_DOMAIN}",
    "[volumes.NAME] site": f"the room or building; {_DOMAIN}",
    "[volumes.NAME] region": f"what one flood, earthquake or failure of the grid may strike as a whole; {_DOMAIN}",
    "[volumes.NAME] admin": f"the people or credential that can delete everything on it; {_DOMAIN}",
    "[volumes.NAME] device": "the device; absent: as detected. Volumes of one device are of one system and site",
    "[volumes.NAME] media": "the kind of medium",
    "[volumes.NAME] access": "reached at any time, after a wait, or only when somebody mounts it; a scan of all skips an `offline` one that is not there",
    "[volumes.NAME] wait": "how long it takes until it can be read: a medium to be fetched, a store to be thawed; absent: nothing where access is `online`",
    "[volumes.NAME] restore_bytes_per_second": "how fast it is read when much is brought back; a simulated loss tells hours by it",
    "[volumes.NAME] capacity": "the most that it may hold, as a quota of a bucket, where no scan tells it; `forecast` holds the bytes in its files against it",
    "[volumes.NAME] cost_per_tib_month": "what a TiB costs a month, in the catalog's currency",
    "[volumes.NAME] exclude": "glob patterns of paths that are not scanned; `**` crosses folders",
    "[volumes.NAME] of": "the volumes that it protects; absent: every primary",
    "[volumes.NAME] path_map": 'where its paths belong: `"folder" = "volume:folder"`; absent: the same path',
    "[volumes.NAME] on": "the volume that it lies on: it shares that one's failure domains",
    "[volumes.NAME] keeps_versions": "how long deleted and overwritten versions are kept; `0d` for none; absent: as recovery points show",
    "[volumes.NAME] immutability": "what protects its content from change and deletion",
    "[volumes.NAME] immutable_until": "the day before which it cannot be deleted",
    "[volumes.NAME] encrypted": "whether a key or password is needed to read it; absent: of `restic` yes, of `borg` and `bacula` unknown, else no",
    "[volumes.NAME] key_on": "the volumes that each hold what opens it, its key or password: its copies survive only what one of these survives, too",
    "[volumes.NAME] hosts": "of a backup repository or a catalog of Bacula: "
    "the names under which the machine was backed up that the volume is of; absent: there is one in it",
    "[volumes.NAME] password_file": "a file with its password, relative to the folder of the configuration; never stored in the catalog",
    "[volumes.NAME] password_command": "a command that prints its password; never stored in the catalog",
    "[volumes.NAME] identity_file": "of a host that is reached by SSH: the private key to sign in with; else those of ~/.ssh, its config and the agent",
    "[volumes.NAME] known_hosts": "and the file that has the host's key; else ~/.ssh/known_hosts",
    "[volumes.NAME] endpoint": "of an object store, or of what an inventory is of: its address, as `https://s3.example.org:9000`; absent: Amazon's",
    "[volumes.NAME] endpoint_region": "of an object store: the region that requests are signed for; "
    "absent: as the SDK's own variables and files say, else `us-east-1`",
    "[volumes.NAME] profile": "of an object store: a profile of the SDK's files",
    "[volumes.NAME] credentials_file": "of an object store: a file of keys in the SDK's form, relative to the folder of the configuration; "
    "never stored in the catalog",
    "[volumes.NAME] credentials_command": "of an object store: a command that prints keys in the form of the SDK's `credential_process`; "
    "never stored in the catalog",
    "[volumes.NAME] metadata_server": "of an object store: whether keys may be asked of the service that a cloud runs for its machines",
    "[volumes.NAME] versions": "of an object store: whether every version is listed, and every delete marker; else what the bucket shows now",
    "[volumes.NAME] heads": "of an object store: whether each object, or a share of them as 0.05, is asked for its checksum and its lock, by one request",
    "[volumes.NAME] tags": "of an object store: whether the objects that `heads` asks are asked for their tags, by one more request",
    "[volumes.NAME] storage_class": "of an object store: the class that jobs store objects in, as `STANDARD_IA`; absent: the bucket's own. "
    "`GLACIER` and `DEEP_ARCHIVE` are refused where the store does not give such objects at once: let a lifecycle rule of the bucket move them",
    "[volumes.NAME] lock_for": "of an object store: how long jobs lock each object that they store, in the mode that `immutability` says; "
    "with `immutable_until` the later of both; absent: until that day, else as the bucket has it",
    "[volumes.NAME] restore_for": "of an object store: for how many days what a job reads from its archive (`GLACIER`, `DEEP_ARCHIVE`) is asked back, "
    "which costs; absent: jobs ask for nothing",
    "[volumes.NAME] restore_tier": "how fast that is, and what it costs: Amazon's `Standard`, `Bulk` or `Expedited`",
    "[volumes.NAME] read_in_place": "of a `manifest` or `listing`: whether who wrote it read the files on this very volume, "
    "as after they were copied there: then what it says is at level 2",
    "[volumes.NAME] told_at": "of a `listing` or a catalog of Bacula: "
    "the time that it is of, with its zone; absent: when it was last written. The index of a tape says it",
    "[volumes.NAME] columns": "of a `listing` that is a table: under which names it has `path`, `size_bytes`, `modified_at`, `sha256`, `type`",
    "[volumes.NAME] times": "how it writes times: as `2026-01-31T12:00:00Z`, or as a number of these since 1970 UTC",
    "[volumes.NAME] digest": "what a scan reads of it: nothing, what could have a copy, everything; absent: `match`, and `all` where access is `offline`",
    "[volumes.NAME] media_types": "whether libmagic tells the media type of each file, which reads its head",
    "[volumes.NAME] cross_mounts": "whether other file systems mounted below the root are scanned too",
    "[volumes.NAME] max_loss_pct": "a scan in which more than this share of entries vanished that no job took is refused, unless `--accept-losses` is given",
    "[classes.NAME] select": "which assets belong to it; the first class that holds wins, the rest are in `default`",
    "[classes.NAME] requires": "sets of requirements by name, one or a list: what they ask for is added; keys beside it may only be stricter",
    "[classes.NAME] copies": "how many copies there must be, the original included; copies on one device count once",
    "[classes.NAME] systems": "on how many systems, the original's included",
    "[classes.NAME] sites": "at how many sites, the original's included",
    "[classes.NAME] regions": "in how many regions, the original's included",
    "[classes.NAME] admins": "in the hands of how many administrators, the original's included: with two no one of them can delete all copies",
    "[classes.NAME] media": "on how many kinds of media, the original's included",
    "[classes.NAME] offline_or_immutable": "how many copies ransomware must not reach, the original included",
    "[classes.NAME] max_copy_age": "how long a change may wait for its copy; until then a version that was written within that time counts",
    "[classes.NAME] min_verification_level": "how well a copy must be known: 0 listed, 1 size and time agree, 2 all read, 3 equals the source;"
    " absent: 1 to count for a threat, and no control of its own",
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
    "[policies.NAME] max_evidence_age": "how old evidence of a copy may be for its files, where that is less than `[lifecycle] max_evidence_age`",
    "[policies.NAME] grace": "how long what was taken away stays in quarantine before a purge may take it",
    "[policies.NAME] leave": "what archive leaves at the file's name",
    "[policies.NAME] hard_links": "whether dedupe may make hard links where blocks cannot be shared",
    "[policies.NAME] steps_per_second": "the most files that a job touches a second",
    "[policies.NAME] bytes_per_second": "the most that a job copies a second",
    "[policies.NAME] hours": 'the hours of the day in which a job works, by the clock of its host, as `"22:00-06:00"`',
    "[lifecycle] journal": "the folder of the journal, on a disk of this host; absent: `journal` in the catalog's folder; "
    "needed where the catalog lies on an object store",
    "[lifecycle] min_copies": "how many verified, independent copies must stay of whatever is taken away, the taken one not counted",
    "[lifecycle] max_evidence_age": "how old the reading of a copy may be that a removal rests on",
    "[lifecycle] max_failures_pct": "a job with a greater share of changed or failed steps is suspended",
    "[lifecycle] kill_switch": "while this file exists no step is begun; absent: `STOP` beside the journal",
    "[dashboard] listen": "address and port; on anything but loopback only where somebody can be known: by `user_header`, `oidc` or tokens",
    "[dashboard] hosts": "the names under which browsers and programs reach it, beside those of loopback; others are refused",
    "[dashboard] user_header": "the header in which a proxy that you trust says who asks, as `X-Forwarded-Email` of oauth2-proxy",
    "[dashboard] groups_header": "the header in which it names the groups, joined by commas",
    "[dashboard] proxies": "addresses of the proxies; from any other address the headers are taken away",
    "[dashboard] oidc": "the OpenID provider at which people sign in, in place of `user_header`",
    "[dashboard] people": "what each person may do, by the name in the header, or the claim; it comes before his groups",
    "[dashboard] groups": "what the people of a group may do; the first group of this table that he is in decides",
    "[dashboard.people.NAME] role": "a `viewer` reads reports, an `auditor` also plans, jobs and the audit trail, and an `operator` "
    "who sees everything also creates and approves plans",
    "[dashboard.people.NAME] see": "volumes, as `projects`, and folders, as `projects:finance`; nothing else is there for him. Absent: everything",
    "[dashboard.oidc] issuer": "the address of the provider, exactly as its `.well-known/openid-configuration` has it",
    "[dashboard.oidc] client_id": "the name of this service at the provider",
    "[dashboard.oidc] client_secret_file": "a file with its secret; never stored in the catalog",
    "[dashboard.oidc] client_secret_command": "a command that prints it",
    "[dashboard.oidc] client_secret_env": "the variable of the environment that holds it",
    "[dashboard.oidc] url": "the address at which browsers reach this service; the provider must lead back to `/login/callback` below it",
    "[dashboard.oidc] scopes": "what the provider is asked for",
    "[dashboard.oidc] name_claim": "the claim of the ID token that names the person; `email` counts only where `email_verified` is true",
    "[dashboard.oidc] groups_claim": "the claim that names the groups; dots lead into claims, as in `realm_access.roles`",
    "[dashboard.oidc] session": "how long a sign-in holds; it ends earlier when the service does",
    "[api.tokens.NAME] hash": "`sha256:` and the hash that `lastcopy token create` prints",
    "[api.tokens.NAME] expires_at": "when it lets in nobody any more; absent: never",
    "[api.tokens.NAME] role": "as for people; the API only reads",
    "[api.tokens.NAME] see": "as for people",
    "[schedule.NAME] cron": "when, in the five fields of cron, or `@hourly`, `@daily`, `@weekly`, `@monthly`; a run that was missed is caught up once",
    "[schedule.NAME] run": "the command without `lastcopy`: `scan`, `check`, `report`, `simulate`, `plan create`, or `approved-plans`, "
    "which carries out what people approved. `{day}` stands for the day of the run, as in `report coverage --output coverage-{day}.pdf`",
    "[schedule.NAME] to": "receivers of `[notify.to]` who are sent the file that it wrote (`--output`)",
    "[schedule.NAME] timezone": "the zone of `cron`, as `Europe/Paris`",
    "[notify] to": "who is told",
    "[notify] unprotected_over": "tell where a snapshot has more newly unprotected assets than this",
    "[notify] stale_after": "tell where the newest good scan of a volume is older",
    "[notify] exception_within": "tell where an accepted finding, or a token of the API, ends so soon",
    "[notify.to.NAME] url_file": "the file with the Apprise address, as `mailtos://…` or `json://…`",
    "[notify.to.NAME] url_command": "the command that prints it",
    "[notify.to.NAME] url_env": "the environment variable that holds it",
    "[notify.to.NAME] on": "of what he is told: newly unprotected data, stale volumes, failed scans and jobs, exceptions and tokens that end, plans that wait",
}

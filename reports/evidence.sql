/*
title = "Evidence"
question = "What did programs, and those who ran them, find out about backups: when, how closely, and of how much?"
table = ["volume", "method", "started_at", "ok", "level", "read_pct", "part", "parts", "errors", "path", "recorded_by"]

[columns]
volume = "the backup"
method = "restic-check or borg-check: a check of the repository by its program, or a file that its errors hit; restore: a file that it gave back; restic-backup or borg-create: a run of the backup, or a file that it could not read"
recovery_point = "what a run made, perhaps the begin of its id, or a file was restored from"
started_at = { meaning = "when that began: it says nothing of what was stored later", unit = "UTC" }
ended_at = { meaning = "when it ended; null = nobody tells", unit = "UTC" }
age_days = { meaning = "whole days from its begin to the snapshot", unit = "days" }
ok = "whether no error was found"
level = { meaning = "what it proves where no error was found: 0 nothing, 1 structure and sizes, 2 stored bytes, 4 restored and compared", unit = "level" }
read_pct = { meaning = "of the content that was read", unit = "%" }
part = "which part was read, of `parts`; null = all, or a part by chance"
parts = "in how many parts all content is read"
errors = { meaning = "errors found", unit = "errors" }
told = "what was said of them, its begin, escaped"
path = "of a file that was restored, could not be read, or has a part where a check found errors"
size_bytes = { meaning = "its size", unit = "bytes" }
seed = "what the sample that it is of was drawn with"
tool_version = "the version of the program, as it was told"
recorded_at = { meaning = "when this was recorded", unit = "UTC" }
recorded_by = "who recorded it"
counts = "whether it is of the repository that the newest scan saw"
*/
SELECT
    verifications.volume,
    verifications.method,
    verifications.recovery_point,
    verifications.started_at,
    verifications.ended_at,
    date_diff('day', verifications.started_at, snapshot.as_of)
    - CASE
        WHEN snapshot.as_of - date_trunc('day', snapshot.as_of) < verifications.started_at - date_trunc('day', verifications.started_at) THEN 1
        ELSE 0
    END AS age_days,
    verifications.ok,
    verifications.level,
    verifications.share_ppm / 10000.0 AS read_pct,
    verifications.part,
    verifications.parts,
    verifications.errors,
    verifications.told,
    verifications.dir || verifications.name AS path,
    verifications.size_bytes,
    verifications.seed,
    verifications.tool_version,
    verifications.recorded_at,
    verifications.recorded_by,
    coalesce(verifications.repository = scans.root_fs_id, FALSE) AS counts
FROM verifications
CROSS JOIN snapshot
LEFT JOIN volumes ON verifications.volume = volumes.volume
LEFT JOIN scans ON volumes.scan_id = scans.scan_id
ORDER BY
    volume ASC,
    started_at ASC,
    method ASC,
    recovery_point ASC NULLS FIRST,
    path ASC NULLS FIRST,
    recorded_at ASC,
    ok ASC,
    level ASC,
    read_pct ASC,
    part ASC NULLS FIRST

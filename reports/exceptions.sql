/*
title = "Exceptions"
question = "Which findings were accepted, by whom, why and until when?"
table = ["condition", "controls", "reason", "owner", "until", "days_left", "is_live"]

[columns]
condition = "which assets the exception is for"
controls = { meaning = "the controls that it accepts as missed, joined by commas; '' = all", unit = "list" }
reason = "why"
owner = "who answers for it"
approver = "who agreed; null = nobody named"
until = "its last day"
days_left = { meaning = "days from the snapshot to its last day; below zero it has ended", unit = "days" }
is_live = "whether it still holds at the snapshot"
position = { meaning = "its place in the configuration, from 0", unit = "count" }
*/
SELECT
    exceptions."where" AS condition,
    array_to_string(exceptions.controls, ',') AS controls,
    exceptions.reason,
    exceptions.owner,
    exceptions.approver,
    exceptions.until,
    date_diff('day', CAST(snapshot.as_of AS DATE), exceptions.until) AS days_left,
    CAST(snapshot.as_of AS DATE) <= exceptions.until AS is_live,
    exceptions.position
FROM exceptions
CROSS JOIN snapshot
ORDER BY
    until ASC,
    position ASC

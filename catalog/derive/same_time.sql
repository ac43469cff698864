/* Whether two times are equal, as exactly as both storages keep them: `coarse` is to the second, `rounded` to the microsecond, up or down. NULL: one is not known. */
CREATE OR REPLACE TEMP MACRO same_time(one_at, other_at, coarse, rounded) AS
CASE
    WHEN coarse THEN date_trunc('second', one_at) = date_trunc('second', other_at)
    WHEN rounded THEN other_at BETWEEN one_at - INTERVAL 1 MICROSECOND AND one_at + INTERVAL 1 MICROSECOND
    ELSE one_at = other_at
END

/* Each distinct combination of what verdicts depend on, with a number. */
SELECT
    circumstances,
    word_0,
    word_1,
    word_2,
    word_3,
    may_hold,
    may_fail,
    min(a) AS a,
    min(class_no) AS class_no,
    min(excepted) AS excepted,
    min(freshness_no) AS freshness_no,
    bool_or(carried) AS carried,
    bool_or(same_volume) AS same_volume,
    CAST(row_number() OVER (ORDER BY circumstances, word_0, word_1, word_2, word_3, may_hold, may_fail) AS INTEGER) AS signature_no
FROM asset_words
GROUP BY circumstances, word_0, word_1, word_2, word_3, may_hold, may_fail

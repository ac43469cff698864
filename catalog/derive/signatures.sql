/* Each distinct combination of what verdicts depend on, with a number. */
SELECT
    a,
    class_no,
    excepted,
    carried,
    same_volume,
    freshness,
    word_0,
    word_1,
    word_2,
    word_3,
    CAST(row_number() OVER (ORDER BY a, class_no, excepted, carried, same_volume, freshness, word_0, word_1, word_2, word_3) AS INTEGER) AS signature_no
FROM (
    SELECT DISTINCT
        a,
        class_no,
        excepted,
        carried,
        same_volume,
        freshness,
        word_0,
        word_1,
        word_2,
        word_3
    FROM asset_words
) AS distinct_words

/* Every directory of the snapshot that holds a regular file. */
SELECT DISTINCT dir
FROM dir_sums

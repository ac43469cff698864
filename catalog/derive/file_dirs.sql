/* Every directory that holds a file. */
SELECT DISTINCT dir
FROM files

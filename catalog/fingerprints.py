"""How a reading of a file is known to be of what a scan saw: by all that tells one content from another without reading it."""

# A condition over `digests AS d` and `entries AS e`. Where a storage has no inodes the path tells which file it is.
OF_ENTRY = """
    d.volume = e.volume
    AND d.size_bytes = e.size_bytes
    AND d.modified_at = e.modified_at
    AND d.modified_ns IS NOT DISTINCT FROM e.modified_ns
    AND d.changed_at IS NOT DISTINCT FROM e.changed_at
    AND d.changed_ns IS NOT DISTINCT FROM e.changed_ns
    AND d.created_at IS NOT DISTINCT FROM e.created_at
    AND d.fs_id IS NOT DISTINCT FROM e.fs_id
    AND d.inode IS NOT DISTINCT FROM e.inode
    AND (d.inode IS NOT NULL OR (d.dir = e.dir AND d.name = e.name))
"""

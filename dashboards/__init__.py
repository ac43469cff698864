"""Pages that draw report results: no SQL, no arithmetic."""

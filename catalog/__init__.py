"""What was seen, where and when: the metadata catalog, its configuration, and what is derived from it."""

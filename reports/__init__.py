"""Questions over a snapshot: one .sql file a question, and what renders the answers."""

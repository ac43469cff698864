"""Decides and acts: policies, plans, jobs and the journal, by the safety protocol. Nothing else writes to a user storage."""

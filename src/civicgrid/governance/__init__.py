"""Who decides what, and how: people, acts, permits. Pure functions over frozen records; no web code and no SQL."""

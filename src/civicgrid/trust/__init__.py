"""Keys, signatures, masked sums and logs: what lets sites, people and a hub rely on each other's words."""

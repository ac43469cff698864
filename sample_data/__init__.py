"""A small estate that is built on demand, with the evidence of its truth."""

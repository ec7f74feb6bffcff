"""Tiny models in the formats of the released ones, built without a download."""

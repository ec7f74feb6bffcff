"""Pasting objects into clips: what is cut out, where it goes, and how its edge is blended."""

"""Channels really taken out: what hangs together, found by probing; cut on a copy; verified; kept and replayed."""

"""Tensors of a network made narrower, how that is written down, and how it is done again to a fresh one."""

"""Experiments of the papers and documents this package is built on, run again, each claim beside what was measured."""

"""A network and everything done with it: opened, run, measured, edited, trained. Knows no papers."""

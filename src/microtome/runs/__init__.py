"""One look: what is asked for, served, kept and written."""

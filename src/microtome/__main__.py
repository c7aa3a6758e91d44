"""`python -m microtome`."""

from .cli import main

main()

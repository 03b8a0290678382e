"""`python -m webapp.cli`: the same program where the command `pghaven` is not installed."""

from webapp.cli import main

main()

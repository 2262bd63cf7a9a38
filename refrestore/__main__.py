"""`python -m refrestore`."""

from refrestore.cli import main

main()

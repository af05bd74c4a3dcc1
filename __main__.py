"""`python -m dulcet` is `dulcet`."""

from dulcet.cli import main

main()

"""`python -m heaphound`, the same as the command `heaphound`."""

import sys

from heaphound.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

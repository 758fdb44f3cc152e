"""``python -m qexp.backend.snapshot``: a former name of ``qexp fleet``."""

import sys

from qexp.fleet.snapshot import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m qexp.deploy.gap``: a former name of ``qexp gap``."""

import sys

from qexp.gap.__main__ import main

if __name__ == "__main__":
    sys.exit(main())

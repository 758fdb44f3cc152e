"""``python -m qexp.workload.build``: a former name of ``qexp catalogue build``."""

import sys

from qexp.circuits.build import main

if __name__ == "__main__":
    sys.exit(main())

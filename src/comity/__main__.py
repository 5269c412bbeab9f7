"""``python -m comity``: the command line, where its script is not on the path."""

import sys

from comity.cli.app import main

sys.exit(main())

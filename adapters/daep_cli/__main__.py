"""``python -m daep_cli`` is ``daep``."""

import sys

from daep_cli.main import main

sys.exit(main())

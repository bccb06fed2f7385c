"""`python -m heyjetson` is the command `heyjetson`."""

import sys

from heyjetson.cli import main

sys.exit(main())

"""`python -m sparkmine.cli` is `sparkmine`."""

import sys

from sparkmine.cli import main

sys.exit(main())

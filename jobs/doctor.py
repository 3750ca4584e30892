"""spark-submit entry point: check the cluster before the first pipeline, or when one has failed."""

import sys

from sparkmine.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["doctor", *sys.argv[1:]]))

"""spark-submit entry point: a whole pipeline."""

from sparkmine.job import main

if __name__ == "__main__":
    raise SystemExit(main())

"""spark-submit entry point: one `explain` stage of a pipeline."""

from sparkmine.job import main

if __name__ == "__main__":
    raise SystemExit(main("explain"))

"""spark-submit entry point: one `fuzzy_records` stage of a pipeline."""

from sparkmine.job import main

if __name__ == "__main__":
    raise SystemExit(main("fuzzy_records"))

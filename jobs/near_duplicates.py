"""spark-submit entry point: one `near_duplicates` stage of a pipeline."""

from sparkmine.job import main

if __name__ == "__main__":
    raise SystemExit(main("near_duplicates"))

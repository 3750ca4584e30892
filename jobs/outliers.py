"""spark-submit entry point: one `outliers` stage of a pipeline."""

from sparkmine.job import main

if __name__ == "__main__":
    raise SystemExit(main("outliers"))

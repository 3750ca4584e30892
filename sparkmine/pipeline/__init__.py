"""Pipelines: a checked YAML file, fingerprints, and the run."""

from sparkmine.pipeline.config import Pipeline, load_pipeline
from sparkmine.pipeline.runner import Runner, coded, new_run_id

__all__ = ["Pipeline", "Runner", "coded", "load_pipeline", "new_run_id"]

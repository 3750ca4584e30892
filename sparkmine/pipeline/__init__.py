"""Pipelines: a checked YAML file, fingerprints, and the run."""

from sparkmine.pipeline.config import Pipeline, load_pipeline
from sparkmine.pipeline.failures import coded
from sparkmine.pipeline.runner import Runner, new_run_id

__all__ = ["Pipeline", "Runner", "coded", "load_pipeline", "new_run_id"]

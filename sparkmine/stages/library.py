"""The YAML of estimators that sparkmine does not fit by Spark ML: scikit-learn's, and networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from sparkmine.model import Estimator, Task
from sparkmine.stages.base import Block, Names
from sparkmine.stages.train import ClassWeights, CnnModel, MlpModel, RnnModel, Stopping


class ScikitLearnModel(Block):
    """Any estimator with scikit-learn's interface: see `sparkmine.mine.ScikitLearn`."""

    # The ledger has the field's own name, by which a replay reads it.
    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["scikit_learn"]
    estimator_class: str = Field(alias="estimator")
    parameters: Mapping[str, Any] = {}
    precision: Literal["float64", "float32"] = "float64"
    memory_factor: float = Field(default=3.0, ge=1.0, strict=False)

    @model_validator(mode="after")
    def _trusted(self) -> ScikitLearnModel:
        """Saved models of a package that the YAML names may be read, whichever stage reads them."""
        from sparkmine.mine.scikit.building import packages
        from sparkmine.mine.scikit.stored import trust

        trust(packages(self.estimator_class, self.parameters))
        return self

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import mine

        return mine.ScikitLearn(
            estimator=self.estimator_class,
            parameters=self.parameters,
            task=task,
            precision=self.precision,
            memory_factor=self.memory_factor,
        )


class NetworkModel(Block):
    """A network on Horovod ranks: see `sparkmine.train.Training`.

    Attributes:
        classes: Of `task: multiclass`, how many.
        validation_share: Of the training rows, in a search or a stacking those of each fold, this
            share is held out for the figures after every epoch.
        validation_keys: What draws these rows; the stage's keys when left out.
        early_stopping: When training ends before `epochs`; by default by `val_loss`.
        class_weight: How much the rows of a class count, or `balanced`.
    """

    kind: Literal["network"]
    network: Annotated[MlpModel | CnnModel | RnnModel, Field(discriminator="kind")]
    classes: int | None = Field(default=None, ge=2)
    ranks: int = Field(default=2, ge=1)
    epochs: int = Field(default=5, ge=1)
    batch_size: int = Field(default=1024, ge=1)
    learning_rate: float = Field(default=0.001, gt=0.0, strict=False)
    validation_share: float = Field(default=0.0, ge=0.0, le=0.5, strict=False)
    validation_keys: Names = Field(default_factory=list)
    early_stopping: Stopping | None = None
    class_weight: ClassWeights = None

    def estimator(self, task: Task) -> Estimator:
        from sparkmine import train

        kinds = {"mlp": train.MLP, "cnn": train.CNN, "rnn": train.RNN}
        settings = self.network.model_dump(exclude={"kind"})
        network: Any = kinds[self.network.kind]
        return train.Training(
            network=network(task=task, classes=self.classes, **settings),
            ranks=self.ranks,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            validation_share=self.validation_share,
            validation_keys=tuple(self.validation_keys),
            early_stopping=None
            if self.early_stopping is None
            else train.EarlyStopping(**self.early_stopping.model_dump()),
            class_weight=self.class_weight,
        )

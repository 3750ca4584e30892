"""Lists of stop words by language: those that Spark ML ships (Snowball's, via NLTK).

They are text files in a jar of Spark, which is read as the zip file it is: no JVM is needed. What
is fitted keeps the words themselves, so only the driver looks here.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sparkmine.errors import ConfigError

_FOLDER = "org/apache/spark/ml/feature/stopwords/"


def stop_words(wanted: str | Sequence[str] | None) -> tuple[str, ...]:
    """The words of a language (`english`), or the words given.

    Raises:
        ConfigError: no list of that language.
    """
    if wanted is None:
        return ()
    if not isinstance(wanted, str):
        return tuple(wanted)
    lists = _lists()
    if wanted not in lists:
        raise ConfigError(
            f"there are no stop words of {wanted!r}; give a list of words, or one of "
            f"{', '.join(sorted(lists))}"
        )
    return lists[wanted]


@cache
def _lists() -> dict[str, tuple[str, ...]]:
    from pyspark.find_spark_home import _find_spark_home

    jars = sorted(Path(_find_spark_home(), "jars").glob("spark-mllib_*.jar"))
    if not jars:
        raise ConfigError("this Spark has no jar of spark-mllib; give stop_words as a list")
    with zipfile.ZipFile(jars[0]) as jar:
        return {
            Path(name).stem: tuple(jar.read(name).decode().split())
            for name in jar.namelist()
            if name.startswith(_FOLDER) and name.endswith(".txt")
        }

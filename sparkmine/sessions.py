"""The only place that builds a SparkSession.

Two situations. Under `spark-submit` the submitter has chosen master, memory and jars: we add
nothing but SQL settings. Otherwise this is local mode: we start an embedded Spark with Delta,
tuned for one machine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.errors import DeltaJarsMissingError, JavaMissingError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

DELTA_PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"
# Spark's own jars have the rest of what Delta asks for.
DELTA_EXCLUDES = (
    "org.apache.hadoop:*,org.apache.parquet:*,org.apache.logging.log4j:*,org.slf4j:*,"
    "com.fasterxml.jackson.core:*,com.fasterxml.jackson.datatype:*,com.github.luben:*,"
    "org.xerial.snappy:*,io.airlift:*,org.roaringbitmap:*,org.locationtech.jts:*,commons-pool:*,"
    "commons-logging:*,com.google.code.findbugs:*,javax.annotation:*"
)
MINIMUM_JAVA = 17
# Seconds between attempts to reach Java after an interrupted call.
_RECONNECT_PAUSES = (0.1, 0.2, 0.4, 0.8)

# Settings that every session needs and that can be set while it runs.
_SQL = {
    # Rows that a stage caches are written afterwards: their small partitions would be small files.
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",
    # A larger Arrow table that becomes a DataFrame is decoded by tasks. Up to 48 MB, by default,
    # the driver's JVM would decode it, in one thread, and again for every plan: 200,000 itemsets
    # took four times as long.
    "spark.sql.execution.arrow.localRelationThreshold": "1MB",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Files that a version no longer needs are kept so long, 7 days unless told otherwise.
    "spark.databricks.delta.properties.defaults.deletedFileRetentionDuration": "interval 90 days",
    "spark.databricks.delta.properties.defaults.logRetentionDuration": "interval 90 days",
    # A version may be older than that and its files still there: those of a table that changes
    # rarely, and those that `sparkmine maintain` keeps. A file that is gone is an error anyway.
    "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    # Sources may be in any encoding that Java knows, such as windows-1252.
    "spark.sql.legacy.javaCharsets": "true",
    # A commit without files still carries the metadata of its stage.
    "spark.databricks.delta.skipRecordingEmptyCommits": "false",
}
_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
# The classes that a session loads, as Java maps them into memory: a start with a first write and
# read took 35 s with them and 45 s without. `prepare.py` makes the file when sparkmine is
# installed; another Java or other jars than it was made with ignore it, without a word.
CLASS_ARCHIVE = Path(sys.prefix) / "sparkmine.jsa"
# A JVM that lives for minutes on few cores: only code that is really hot is worth the second
# compiler, so it starts ten times later than it would (the others are its defaults times ten).
# The demo took 288 s so, 420 s with the first compiler alone, 455 s with Java's defaults.
# Methods of over 8000 bytes, as Spark generates for wide tables, are compiled too. Metaspace
# starts at what Spark needs, or each step there is a full collection.
_LOCAL_JVM = (
    "-XX:+UseParallelGC -XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000 "
    "-XX:-DontCompileHugeMethods -XX:MetaspaceSize=256m"
)


def submitted() -> bool:
    """True when this process was started by spark-submit."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def is_local(spark: SparkSession) -> bool:
    """Tell whether driver and executor are one process."""
    return (spark.sparkContext.master or "").startswith("local")


def slots(spark: SparkSession) -> int:
    """How many tasks can run at once now."""
    context = spark.sparkContext._jsc.sc()
    profile = context.resourceProfileManager().defaultResourceProfile()
    return int(context.maxNumConcurrentTasks(profile))


def task_cores(spark: SparkSession) -> int:
    """How many cores each task has."""
    return int(spark.sparkContext.getConf().get("spark.task.cpus") or 1)


def session(
    name: str = "sparkmine",
    *,
    conf: Mapping[str, str] | None = None,
    log_file: str | Path | None = None,
) -> SparkSession:
    """The SparkSession of this process; the one that runs is returned as it is.

    Args:
        name: Application name.
        conf: Further settings, which win over ours.
        log_file: In local mode, the file that takes the output of the JVM and its workers.

    Raises:
        JavaMissingError: no Java, or one older than 17.
        DeltaJarsMissingError: the session runs without Delta's jars.
    """
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    builder = SparkSession.builder.appName(name)
    if submitted():
        for key, value in (conf or {}).items():
            builder = builder.config(key, value)
        spark = builder.getOrCreate()
    else:
        check_java()
        spark = _local(builder, dict(conf or {}), log_file)
    check_delta(spark)
    for key, value in _SQL.items():
        spark.conf.set(key, value)
    if is_local(spark) and "spark.sql.shuffle.partitions" not in (conf or {}):
        spark.conf.set("spark.sql.shuffle.partitions", str(spark.sparkContext.defaultParallelism))
    return spark


def _local(
    builder: SparkSession.Builder, conf: dict[str, str], log_file: str | Path | None
) -> SparkSession:
    from delta import configure_spark_with_delta_pip

    # Workers must be this interpreter, and the driver must not depend on the host's name.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Training workers import TensorFlow once per task; its banner helps nobody.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    settings = {
        "spark.master": os.environ.get("SPARKMINE_MASTER", "local[*]"),
        "spark.driver.memory": f"{_driver_memory_mib()}m",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Each call of pyspark's functions would look up the line of Python that it stands in.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.jars.excludes": DELTA_EXCLUDES,
        "spark.driver.extraJavaOptions": java_options("SharedArchiveFile", CLASS_ARCHIVE),
        **_DELTA,
        **conf,
    }
    # Delta's helper sets the packages anew.
    packages = [name for name in settings.pop("spark.jars.packages", "").split(",") if name]
    for key, value in settings.items():
        builder = builder.config(key, value)
    with _output_to(log_file):
        spark = configure_spark_with_delta_pip(builder, packages).getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    _silence_query_loggers()
    return spark


def java_options(how: str, archive: Path) -> str:
    """The options of an embedded session's JVM, which reads or writes the class archive.

    Args:
        how: SharedArchiveFile or ArchiveClassesAtExit.
    """
    return f'{_LOCAL_JVM} -Xlog:cds*=off -Xlog:class+path=off "-XX:{how}={archive}"'


def _silence_query_loggers() -> None:
    """Spark raises its errors, and so do we; its loggers would print their stack traces as well."""
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True


@contextlib.contextmanager
def _output_to(log_file: str | Path | None) -> Iterator[None]:
    """Let the JVM that starts inside inherit `log_file` as its standard output and error."""
    if log_file is None:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    Path(log_file).parent.mkdir(parents=True, exist_ok=True)
    saved = os.dup(1), os.dup(2)
    target = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (target, *saved):
            os.close(descriptor)


def _driver_memory_mib() -> int:
    """Half of the machine's memory, between 1 and 8 GiB: Python workers need the rest."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    return int(min(max(total // 2, 1024), 8192))


def java_version() -> int | None:
    """The major version of the Java that Spark would start, or None."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None:
        return None
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found.group(1)) if found else None


def check_java() -> int:
    """The Java version.

    Raises:
        JavaMissingError: with the Debian package that has it.
    """
    version = java_version()
    if version is None or version < MINIMUM_JAVA:
        seen = "no Java was found" if version is None else f"Java {version} was found"
        raise JavaMissingError(
            f"Spark needs Java {MINIMUM_JAVA} or newer and {seen}; install the Debian package "
            "openjdk-17-jre-headless, or set JAVA_HOME"
        )
    return version


def check_delta(spark: SparkSession) -> None:
    """Raise DeltaJarsMissingError when the running session cannot read Delta tables."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    try:
        jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(
            "io.delta.sql.DeltaSparkSessionExtension"
        )
    except Exception as error:  # py4j wraps ClassNotFoundException in its own class
        if "ClassNotFoundException" not in str(error):
            raise
        raise DeltaJarsMissingError(
            "this Spark session runs without Delta's jars; add the line "
            f"'spark.jars.packages {DELTA_PACKAGE}' to the properties file given to spark-submit"
        ) from None
    for key, value in _DELTA.items():
        if value not in (spark.conf.get(key, None) or ""):
            raise DeltaJarsMissingError(
                f"this Spark session lacks the setting '{key} {value}'; add it as a line to the "
                "properties file given to spark-submit"
            )


def reconnect(spark: SparkSession) -> None:
    """Make sure that Java answers again after a call of it was interrupted.

    py4j drops the connection of the interrupted call, and now and then Java closes the next one,
    too, which py4j reports as an empty answer.

    Raises:
        Py4JNetworkError: Java has gone.
    """
    from py4j.protocol import Py4JNetworkError

    jvm: Any = spark._jvm
    for pause in _RECONNECT_PAUSES:
        try:
            jvm.java.lang.System.nanoTime()
            return
        except Py4JNetworkError:
            time.sleep(pause)
    jvm.java.lang.System.nanoTime()

#!/usr/bin/env python3
"""One Spark session that reads tables and runs SQL, line by line of JSON.

    python spark.py CATALOG_URI WAREHOUSE JAR ... < requests

A request is `{"read": METADATA_FILE}` or `{"sql": STATEMENT}`, its answer
`{"rows": []}` or `{"error": TEXT}`. The SQL catalog is called `dativo`.
"""

from __future__ import annotations

import json
import sys
import typing as t
from datetime import timezone
from decimal import Context, Decimal, Inexact

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import DecimalType, Row, TimestampType
from read import spelled

if t.TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

LOOPBACK = "127.0.0.1"
EXACT = Context(prec=38, traps=[Inexact])
CATALOG = "spark.sql.catalog.dativo"  # the name is a column of the catalog's tables
EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"


def settings(uri: str, warehouse: str, jars: list[str]) -> dict[str, str]:
    """Return a session's settings: everything on loopback, in UTC."""
    return {
        "spark.master": "local[1]",
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": "1g",
        "spark.driver.extraClassPath": ":".join(jars),
        "spark.sql.extensions": EXTENSIONS,
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        CATALOG: "org.apache.iceberg.spark.SparkCatalog",
        f"{CATALOG}.type": "jdbc",
        f"{CATALOG}.uri": uri,
        f"{CATALOG}.jdbc.schema-version": "V1",
        f"{CATALOG}.warehouse": warehouse,
        f"{CATALOG}.cache-enabled": "false",
    }


def plain(value: t.Any) -> t.Any:
    """Return a value with Spark's own rows and byte arrays as Python's."""
    if isinstance(value, Row):
        return {name: plain(part) for name, part in value.asDict().items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return bytes(value) if isinstance(value, bytearray) else value


def rows(frame: DataFrame) -> list[t.Any]:
    """Return rows in the spelling of all readers."""
    types = {field.name: field.dataType for field in frame.schema}
    for name, kind in types.items():
        if isinstance(kind, TimestampType):  # PySpark makes none of the year 1
            frame = frame.withColumn(name, frame[name].cast("timestamp_ntz"))
    found = [plain(row) for row in frame.collect()]
    for row in found:
        row |= {name: exact(row[name], kind) for name, kind in types.items()}
    return t.cast("list[t.Any]", spelled(found, has_bytes=True))


def exact(value: t.Any, kind: DataType) -> t.Any:
    """Return a value with the zone or the scale of its type, which PySpark loses."""
    if value is not None and isinstance(kind, TimestampType):
        return value.replace(tzinfo=timezone.utc)
    if value is not None and isinstance(kind, DecimalType):
        return value.quantize(Decimal(1).scaleb(-kind.scale), context=EXACT)
    return value


def answer(session: SparkSession, request: dict[str, str]) -> dict[str, t.Any]:
    """Do what is asked."""
    try:
        if "sql" in request:
            return {"rows": rows(session.sql(request["sql"]))}
        return {"rows": rows(session.read.format("iceberg").load(request["read"]))}
    except (PySparkException, Py4JJavaError) as error:
        return {"error": str(error)}


def main(uri: str, warehouse: str, *jars: str) -> None:
    """Answer requests until there are no more."""
    builder = SparkSession.builder
    for name, value in settings(uri, warehouse, list(jars)).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(session, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

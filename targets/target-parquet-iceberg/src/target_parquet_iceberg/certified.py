"""Iceberg's files on an S3 server whose certificate a private CA has signed."""

from __future__ import annotations

import typing as t

from pyiceberg.io.pyarrow import PyArrowFileIO

from target_parquet_iceberg.object_storage import s3_filesystem

if t.TYPE_CHECKING:
    import pyarrow.fs as pafs


class CertifiedFileIO(PyArrowFileIO):
    """PyIceberg's files by Arrow, which alone would know no CA file."""

    def _initialize_s3_fs(self, netloc: str | None) -> pafs.FileSystem:  # noqa: ARG002
        return s3_filesystem(self.properties)

"""Singer target for Apache Iceberg and Parquet."""

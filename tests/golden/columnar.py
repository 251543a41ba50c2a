"""Writes the files of the folder columnar beside it: one table in the forms that pyarrow, polars and pandas write.

usage: python columnar.py      (pyarrow, polars, pandas)
"""

import datetime
import decimal
import pathlib
import sqlite3

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

folder = pathlib.Path(__file__).resolve().parent / "columnar"
folder.mkdir(exist_ok=True)

rows = range(40)
start = datetime.datetime(2024, 1, 31, 6, 30)
columns = {
    "count": [None if i % 11 == 3 else i * i - 7 for i in rows],
    "size": [None if i % 13 == 5 else i / 8 - 2.5 for i in rows],
    "price": [decimal.Decimal(i * 37 % 101) / 4 for i in rows],
    "open": [i % 3 == 0 for i in rows],
    "kind": [None if i == 8 else ["ash", "beech, red", "ünïcode"][i * 7 % 3] for i in rows],
    "day": [(start + datetime.timedelta(days=9 * i)).date() for i in rows],
    "seen": [start + datetime.timedelta(hours=31 * i) for i in rows],
    "label": [["no", "yes"][i * i % 5 % 2] for i in rows],
}
table = pa.table(
    {
        "count": pa.array(columns["count"], pa.int32()),
        "size": pa.array(columns["size"], pa.float64()),
        "price": pa.array(columns["price"], pa.decimal128(9, 2)),
        "open": pa.array(columns["open"]),
        "kind": pa.array(columns["kind"]).dictionary_encode(),
        "day": pa.array(columns["day"], pa.date32()),
        "seen": pa.array(columns["seen"], pa.timestamp("us", "UTC")),
        "label": pa.array(columns["label"]),
    }
)


def text(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        return value.isoformat() + "Z"
    value = str(value)
    return f'"{value}"' if "," in value else value


lines = [",".join(columns)] + [",".join(text(values[i]) for values in columns.values()) for i in rows]
csv = "".join(line + "\n" for line in lines).encode()
(folder / "table.csv").write_bytes(csv)
# Two frames, as programs that compress in parallel write them, and one that holds no data.
zstd = pa.Codec("zstd")
parts = [zstd.compress(part, asbytes=True) for part in (csv[:500], csv[500:])]
skipped = (0x184D2A50).to_bytes(4, "little") + (3).to_bytes(4, "little") + b"abc"
(folder / "table.csv.zst").write_bytes(parts[0] + skipped + parts[1])

pq.write_table(table, folder / "pyarrow.parquet", row_group_size=16, compression="snappy")
pq.write_table(table, folder / "zstd.parquet", compression="zstd", data_page_version="2.0")
frame = pl.DataFrame(
    {
        "count": pl.Series(columns["count"], dtype=pl.Int64),
        "size": pl.Series(columns["size"], dtype=pl.Float32),
        "price": pl.Series([float(price) for price in columns["price"]]),
        "open": columns["open"],
        "kind": pl.Series(columns["kind"]),
        "day": columns["day"],
        "seen": pl.Series(columns["seen"], dtype=pl.Datetime("ns")),
        "label": pl.Series(columns["label"], dtype=pl.Categorical),
    }
)
frame.write_parquet(folder / "polars.parquet", compression="lz4")
frame.write_ipc(folder / "polars.arrow", compression="zstd")
frame.write_ipc_stream(folder / "polars.arrows")
frame = frame.with_columns(pl.col("seen").dt.strftime("%Y-%m-%dT%H:%M:%S"), pl.col("day").cast(pl.String))
frame.write_ndjson(folder / "polars.jsonl")
feather.write_feather(table, folder / "pyarrow.feather", compression="lz4")
pandas = pd.DataFrame(table.to_pandas())
pandas.index = [f"row {i}" for i in rows]
pandas["count"] = pandas["count"].astype("Int32")
pandas.to_parquet(folder / "pandas.parquet", compression="gzip")
pandas["seen"] = pandas["seen"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
pandas["price"] = pandas["price"].astype(float)
pandas["day"] = pandas["day"].astype(str)
pandas.to_json(folder / "pandas.jsonl", orient="records", lines=True)

database = folder / "sqlite.db"
database.unlink(missing_ok=True)
with sqlite3.connect(database) as connection:
    connection.execute("CREATE TABLE other (x)")
    kinds = ["INTEGER", "REAL", "REAL", "TEXT", "TEXT", "TEXT", "TEXT", "TEXT"]
    connection.execute(f"CREATE TABLE rows ({', '.join(f'{name} {kind}' for name, kind in zip(columns, kinds))})")
    cell = lambda value: value if value is None or isinstance(value, (int, float, str)) and not isinstance(value, bool) else text(value)
    rows_of = [[cell(values[i]) for values in columns.values()] for i in rows]
    connection.executemany(f"INSERT INTO rows VALUES ({', '.join('?' * len(kinds))})", rows_of)
connection.close()

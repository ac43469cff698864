"""The types that columns of stored tables have."""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us")  # naive UTC everywhere
TEXT = pa.string()
WORD = pa.dictionary(pa.int32(), pa.string())  # few distinct values
INT = pa.int64()
SMALL = pa.int32()
FLAG = pa.bool_()
DIGEST = pa.binary()  # SHA-256, 32 bytes; never hex

"""Names and types that every table shares."""

import pyarrow as pa

from ml.errors import DataError

DAY = "_day"
ARROW_TYPES = {  # of the feature types of a problem file
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
    "category": pa.string(),
    "text": pa.string(),
    "zip": pa.string(),
}


def merged(held: pa.Schema, new: pa.Schema, *, table: str) -> pa.Schema:
    """The columns of a table after rows of another schema came in: what it had, then what is new.

    Raises: DataError: a column has another type than before. Delta would cast where it can, and '5' would become 5.
    """
    types = {field.name: field.type for field in held}
    changed = [f"{f.name}: {types[f.name]} before, {f.type} now" for f in new if not alike(types.get(f.name, f.type), f.type)]
    if changed:
        raise DataError(
            f"Columns of table {table} changed their type ({'; '.join(changed)}). Past days cannot be read with "
            "both. Give the feature its old type, or a new name, in the problem file."
        )
    return pa.schema([*held, *(field for field in new if field.name not in types)])


def alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two columns hold the same kind of values; Arrow has several layouts for strings and for lists."""
    return _plain(one) == _plain(other)


def _plain(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return str(kind).replace("large_", "").split("<")[0]

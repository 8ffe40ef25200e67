"""
Flat prices: rows of JSON, some values missing, to a price.

`README.md` in this folder has the commands. Training reads ``flats.csv``, which
``python make_flats.py`` writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline as Steps
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from chariots.ml import MLMode
from chariots.ml.sklearn import SKSupervisedOp
from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node, ReservedNodes
from chariots.pipelines.ops import BaseOp
from chariots.versioning import VersionedField, VersionedFieldDict, VersionType

NUMBERS: Final = ["area", "rooms", "year"]
CATEGORIES: Final = ["district", "heating"]
FLATS: Final = Path(__file__).with_name("flats.csv")

_numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
_categories = make_pipeline(
    SimpleImputer(strategy="most_frequent"),
    # A category that the training did not meet becomes zeros in all of the columns.
    OneHotEncoder(handle_unknown="ignore"),
)

#: The steps of a model that is not fitted. Nothing here fits them: each training gets clones.
STEPS: Final = [
    (
        "columns",
        ColumnTransformer(
            [("numbers", _numbers, NUMBERS), ("categories", _categories, CATEGORIES)]
        ),
    ),
    ("regressor", Ridge(alpha=1.0)),
]


class SoldFlats(BaseOp):
    """
    The rows of ``flats.csv`` and the price of each.
    """

    def execute(self) -> tuple[list[dict[str, Any]], list[float]]:
        flats = pd.read_csv(FLATS)
        return flats[NUMBERS + CATEGORIES].to_dict("records"), flats["price"].to_list()


class FlatTable(BaseOp):
    """
    Rows of JSON to a DataFrame with the columns and types that the model needs.

    A null is a missing value. Training and prediction both run this op, so the model
    gets the same types in both. Other columns of the rows are ignored.

    Raises:
        ValueError: the input is not a list of rows, a row lacks a column, or a
            column of numbers has a text that is not a number.
    """

    def execute(self, rows: Any) -> pd.DataFrame:
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise ValueError('the input is not a list of rows: send it as [{"area": 62, ...}, ...]')
        for number, row in enumerate(rows):
            missing = [name for name in NUMBERS + CATEGORIES if name not in row]
            if missing:
                raise ValueError(
                    f"row {number} has no column {', '.join(map(repr, missing))}: add it, "
                    "with null if the value is not known"
                )
        # Columns of nulls alone get the same type as others.
        types = dict.fromkeys(NUMBERS, float) | dict.fromkeys(CATEGORIES, object)
        columns = {name: _column(rows, name, of_type) for name, of_type in types.items()}
        return pd.DataFrame(columns)


def _column(rows: Sequence[Mapping[str, Any]], name: str, of_type: type) -> pd.Series:
    # For scikit-learn a NaN is a missing value, and None a category like any other.
    values = [np.nan if row[name] is None else row[name] for row in rows]
    try:
        return pd.Series(values, dtype=of_type)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} has a value that is not a number ({error})") from error


class FlatPrice(SKSupervisedOp):
    """
    A table of flats to their prices in euros.
    """

    model_class = VersionedField(Steps, VersionType.MAJOR)
    model_parameters = VersionedFieldDict(VersionType.MAJOR, {"steps": STEPS})


class MeanError(BaseOp):
    """
    How far the model is from the price of a flat that it has not seen, on average, in euros.
    """

    def execute(self, table: pd.DataFrame, prices: Sequence[float]) -> int:
        predicted = cross_val_predict(Steps(STEPS), table, prices, cv=5)
        return round(float(np.mean(np.abs(predicted - np.asarray(prices)))))


class RoundedPrice(BaseOp):
    """
    Prices in whole euros.
    """

    def execute(self, prices: Any) -> list[int]:
        return [round(float(price)) for price in prices]


train_prices = Pipeline(
    [
        Node(SoldFlats(), output_nodes=["rows", "prices"]),
        Node(FlatTable(), ["rows"], ["table"]),
        Node(MeanError(), ["table", "prices"], ReservedNodes.pipeline_output),
        Node(FlatPrice(MLMode.FIT), ["table", "prices"]),
    ],
    name="train_prices",
    use_worker=True,
)

predict_prices = Pipeline(
    [
        Node(FlatTable(), [ReservedNodes.pipeline_input], ["table"]),
        Node(FlatPrice(MLMode.PREDICT), ["table"], ["prices"]),
        Node(RoundedPrice(), ["prices"], ReservedNodes.pipeline_output),
    ],
    name="predict_prices",
)

app = PipelinesServer([train_prices, predict_prices], worker_pool="local", import_name="prices")

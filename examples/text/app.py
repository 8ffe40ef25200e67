"""
Topics of messages to a shop's support: a vectorizer and a classifier, as two linked ops.

`README.md` in this folder has the commands. Training reads ``messages.csv``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from chariots.ml import MLMode
from chariots.ml.sklearn import SKSupervisedOp, SKUnsupervisedOp
from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node, ReservedNodes
from chariots.pipelines.ops import BaseOp
from chariots.versioning import VersionedField, VersionedFieldDict, VersionType

MESSAGES: Final = Path(__file__).with_name("messages.csv")

#: Every fourth message is kept for `check_topics`; no training sees it.
KEPT_BACK: Final = 4


class Messages(BaseOp):
    """
    The texts of ``messages.csv`` and the topic of each.
    """

    def execute(self) -> tuple[list[str], list[str]]:
        with MESSAGES.open(encoding="utf-8", newline="") as file:
            chosen = [row for number, row in enumerate(csv.DictReader(file)) if self.takes(number)]
        return [row["text"] for row in chosen], [row["topic"] for row in chosen]

    def takes(self, number: int) -> bool:
        """
        Return whether the message on this row is one for training.
        """
        return number % KEPT_BACK != 0


class UnseenMessages(Messages):
    """
    The messages that no training sees.
    """

    def takes(self, number: int) -> bool:
        return not super().takes(number)


class TextInput(BaseOp):
    """
    The texts of a request.

    Raises:
        ValueError: the input is not a list of texts.
    """

    def execute(self, texts: Any) -> list[str]:
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError('the input is not a list of texts: send it as ["first", "second"]')
        return texts


class Vectorizer(SKUnsupervisedOp):
    """
    Texts to vectors, one column for each piece of a word that the training met.
    """

    model_class = VersionedField(TfidfVectorizer, VersionType.MAJOR)
    model_parameters = VersionedFieldDict(
        VersionType.MAJOR, {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True}
    )


class TopicClassifier(SKSupervisedOp):
    """
    Vectors to topics. The classifier fits only the vectorizer that it was trained with.
    """

    model_class = VersionedField(LogisticRegression, VersionType.MAJOR)
    model_parameters = VersionedFieldDict(VersionType.MAJOR, {"C": 10.0})


class Accuracy(BaseOp):
    """
    The share of messages for which the predicted topic is right.
    """

    def execute(self, predicted: Sequence[str], topics: Sequence[str]) -> float:
        right = sum(one == other for one, other in zip(predicted, topics, strict=True))
        return round(right / len(topics), 3)


train_topics = Pipeline(
    [
        Node(Messages(), output_nodes=["texts", "topics"]),
        Node(Vectorizer(MLMode.FIT_PREDICT), ["texts"], ["vectors"]),
        Node(TopicClassifier(MLMode.FIT), ["vectors", "topics"]),
    ],
    name="train_topics",
    use_worker=True,
)

train_vectorizer = Pipeline(
    [
        Node(Messages(), output_nodes=["texts", "topics"]),
        Node(Vectorizer(MLMode.FIT), ["texts"]),
    ],
    name="train_vectorizer",
    use_worker=True,
)

train_classifier = Pipeline(
    [
        Node(Messages(), output_nodes=["texts", "topics"]),
        Node(Vectorizer(MLMode.PREDICT), ["texts"], ["vectors"]),
        Node(TopicClassifier(MLMode.FIT), ["vectors", "topics"]),
    ],
    name="train_classifier",
    use_worker=True,
)

check_topics = Pipeline(
    [
        Node(UnseenMessages(), output_nodes=["texts", "topics"]),
        Node(Vectorizer(MLMode.PREDICT), ["texts"], ["vectors"]),
        Node(TopicClassifier(MLMode.PREDICT), ["vectors"], ["predicted"]),
        Node(Accuracy(), ["predicted", "topics"], ReservedNodes.pipeline_output),
    ],
    name="check_topics",
)

predict_topics = Pipeline(
    [
        Node(TextInput(), [ReservedNodes.pipeline_input], ["texts"]),
        Node(Vectorizer(MLMode.PREDICT), ["texts"], ["vectors"]),
        Node(TopicClassifier(MLMode.PREDICT), ["vectors"], ReservedNodes.pipeline_output),
    ],
    name="predict_topics",
)

app = PipelinesServer(
    [train_topics, train_vectorizer, train_classifier, check_topics, predict_topics],
    worker_pool="local",
    import_name="topics",
)

"""Writes columns.json beside it: a table with columns of several kinds, other rows with values that training never saw,
and the features of both by pandas and scikit-learn.

Run alone: it needs pandas and scikit-learn besides the packages of requirements.txt.
"""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MultiLabelBinarizer, OneHotEncoder

TRAIN = [
    # review, age, city, tags, stayed
    ("Lovely rooms, lovely staff!", 31, "Bern", "pool; bar", "yes"),
    ("The rooms were cold and the staff rude.", None, "Basel", "bar", "no"),
    ("Would come again: great pool.", 45, None, "pool;spa", "yes"),
    ("Cold food. Cold rooms. Cold staff.", 52, "Bern", "", "no"),
    ("Great view and great food", 23, "Chur", "spa;pool;bar", "yes"),
    ("", 38, "Basel", "bar;bar", "no"),
]
NEW = [
    ("Lovely view, terrible noise", None, "Genf", "pool;sauna", None),
    (None, 60, None, None, None),
    ("cold cold cold cold cold cold cold cold cold", 27, "Chur", "spa", None),
]
NAMES = ["review", "age", "city", "tags", "stayed"]
LENGTH = 7


def text(rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(NAMES)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return out.getvalue()


def vocabulary(reviews):
    """The words of at least two occurrences, the most frequent first, equally frequent ones in alphabetical order."""
    counter = CountVectorizer(token_pattern=r"(?u)\b\w+\b")
    counts = counter.fit_transform(reviews).sum(axis=0).A1
    words = [(word, counts[i]) for word, i in counter.vocabulary_.items() if counts[i] >= 2]
    return [word for word, count in sorted(words, key=lambda one: (-one[1], one[0]))], counter.build_analyzer()


def tokens(reviews, words, analyze):
    ids = {word: i + 2 for i, word in enumerate(words)}
    rows = []
    for review in reviews:
        row = [ids.get(word, 1) for word in analyze(review)][:LENGTH] or [1]
        rows.append(row + [0] * (LENGTH - len(row)))
    return rows


def features(frame, imputer, encoder, binarizer):
    lists = [sorted({one.strip() for one in cell.split(";")} & set(binarizer.classes_)) for cell in frame["tags"]]
    columns = [
        imputer.transform(frame[["age"]]),
        encoder.transform(frame[["city"]]),
        binarizer.transform(lists),
    ]
    return np.hstack(columns).tolist()


if __name__ == "__main__":
    train, new = (pd.DataFrame(rows, columns=NAMES) for rows in (TRAIN, NEW))
    for frame in (train, new):
        frame["city"] = frame["city"].fillna("~")
        frame["tags"] = frame["tags"].fillna("")
        frame["review"] = frame["review"].fillna("")
    words, analyze = vocabulary(train["review"])
    imputer = SimpleImputer(strategy="median").fit(train[["age"]])
    # The missing name is a separate category, the last one.
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(train[["city"]])
    binarizer = MultiLabelBinarizer()
    binarizer.fit([[one.strip() for one in cell.split(";") if one.strip()] for cell in train["tags"]])
    golden = {
        "train": text(TRAIN),
        "new": text(NEW),
        "words": words,
        "length": LENGTH,
        "tokens": tokens(train["review"], words, analyze),
        "new_tokens": tokens(new["review"], words, analyze),
        "features": features(train, imputer, encoder, binarizer),
        "new_features": features(new, imputer, encoder, binarizer),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")

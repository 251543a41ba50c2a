"""Writes tables.json beside it: small tables, and their features by pandas and scikit-learn.

Run alone: it needs pandas and scikit-learn besides the packages of requirements.txt.
"""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler

CASES = []


def case(name, text, settings, features, targets=None, classes=None, **extra):
    """`features` are of all rows; `targets` are values, or labels where there are `classes`."""
    features = np.asarray(features, float)
    entry = {"name": name, "text": text, "settings": settings, "features": features.tolist(), **extra}
    if targets is not None:
        entry["targets"] = np.asarray(targets).tolist()
    if classes is not None:
        entry["classes"] = list(classes)
    CASES.append(entry)


def read(text, **how):
    return pd.read_csv(io.StringIO(text), **how)


def numbers():
    text = 'a,b,y\n"51,257.3",-0.436,1.5\n"1,048,679.0",-1.17,2\n999,1.739,2.5\n'
    frame = read(text, thousands=",")
    for settings in ["", "thousands = ','\n"]:
        case(f"thousands {settings}".strip(), text, settings, frame[["a", "b"]], frame["y"])
    text = "a;b;y\n1,5;7;0,5\n-2,25;8;1\n3;9;1,5e1\n"
    frame = read(text, sep=";", decimal=",")
    for settings in ["", "decimal = ','\n"]:
        case(f"decimal comma {settings}".strip(), text, settings, frame[["a", "b"]], frame["y"])
    text = "a;b;y\n1.234,5;1.000;2\n-12.345;2.500;3\n0,125;999;5\n"
    frame = read(text, sep=";", decimal=",", thousands=".")
    case("points between thousands", text, "decimal = ','\nthousands = '.'\n", frame[["a", "b"]], frame["y"])
    text = "\ufeffa\t b \tc\ty\r\n1\t2\t\"x\ty\"\t1.5\r\n\r\n3\t4\t\"z\"\"\"\t2.5\r\n5\t6\tz\"\t3.5\r\n"
    frame = read(text.removeprefix("\ufeff"), sep="\t")
    assert frame["c"].tolist() == ["x\ty", 'z"', 'z"'], frame["c"]
    case("tabs, quotes, a mark and CRLF", text, "", OneHot(frame, [" b ", "a"], ["c"]), frame["y"])
    text = ",a,b,y\n0,51,0.1,1.5\n1,61,0.25,2.5\n2,41,0.5,3.5\n"
    frame = read(text, index_col=0)
    case("the index of pandas", text, "", frame[["a", "b"]], frame["y"])
    text = "a,b,y,\n1,2,1.5,\n3,4,2.5,\n5,6,3.5,\n"
    case("a trailing delimiter", text, "", read(text)[["a", "b"]], read(text)["y"])
    text = "5.1,3.5,x\n4.9,3.0,x\n7.0,3.2,z\n6.4,3.2,z\n"
    frame = read(text, header=None)
    encoder = LabelEncoder().fit(frame[2])
    case("no header", text, "", frame[[0, 1]], encoder.transform(frame[2]), encoder.classes_)


def OneHot(frame, plain, categories, fitted=None):
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit((fitted if fitted is not None else frame)[categories])
    return np.hstack([frame[sorted(plain)[::-1]], encoder.transform(frame[categories])])


def gaps():
    text = "a,c,y\n1,red,1\n,blue,2\n4,?,3\n9,red,5\n"
    frame = read(text, na_values="?")
    for strategy in ["mean", "median"]:
        filled = SimpleImputer(strategy=strategy).fit_transform(frame[["a"]])
        # The missing name is a separate category, the last one.
        names = OneHotEncoder(categories=[["blue", "red", "~"]], sparse_output=False).fit_transform(
            frame[["c"]].fillna("~")
        )
        case(f"missing, {strategy}", text, f"missing = '{strategy}'\n", np.hstack([filled, names]), frame["y"])
    text = "a,c,y\n1,True,1\n2,false,2\n4,TRUE,3\n"
    flags = [1, 0, 1]
    case("truth values", text, "", np.column_stack([[1, 2, 4], flags]), [1, 2, 3])


def classes():
    for name, written in [("numbers", ["7", "3", "7", "3"]), ("floats", ["1.0", "0.0", "2.0", "1.0"])]:
        values = np.array(written, float)
        encoder = LabelEncoder().fit(values)
        text = "a,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(written))
        names = [str(int(value)) for value in encoder.classes_]
        case(f"classes as {name}", text, "", np.arange(4)[:, None], encoder.transform(values), names, task="classes")
    text = "a,y\n1,-2\n2,0\n3,5\n4,-7\n"
    case("whole numbers as values", text, "", [[1], [2], [3], [4]], [-2, 0, 5, -7], task="values")


def cycle(part):
    return np.column_stack([np.sin(2 * np.pi * part), np.cos(2 * np.pi * part)])


def dates():
    forms = {
        "ISO 8601": ("%Y-%m-%d", ""),
        "points": ("%d.%m.%Y", ""),
        "days first": ("%d/%m/%Y", ""),
        "months first": ("%m/%d/%Y", ""),
        "asked": ("%d/%m/%Y", "dates = 'day-first'\n"),
    }
    for name, (form, settings) in forms.items():
        days = pd.date_range("2023-12-30", periods=4, freq="37D") if name != "asked" else pd.to_datetime(
            ["2024-01-02", "2024-03-04", "2024-05-06", "2024-12-11"]
        )
        text = "when,y\n" + "".join(f"{day.strftime(form)},{i}.5\n" for i, day in enumerate(days))
        whole = (days - pd.Timestamp(0)).days.to_numpy(float)
        lengths = np.where(days.is_leap_year, 366, 365)
        features = np.hstack([whole[:, None], cycle((days.day_of_year.to_numpy() - 1) / lengths), cycle(days.day_of_week.to_numpy() / 7)])
        case(f"dates, {name}", text, settings, features, np.arange(4) + 0.5)
    times = pd.to_datetime(["2024-05-05 23:30:00", "2024-05-05 06:00:00", "2024-05-05 12:45:15"])
    text = "when,y\n" + "".join(f"{time},{i}.5\n" for i, time in enumerate(times))
    days = (times - pd.Timestamp(0)) / pd.Timedelta(days=1)
    part = (times - times.normalize()) / pd.Timedelta(days=1)
    # Times of one day, so that year and week change only by the time of day, which they include.
    year = (125 + part) / 366
    week = (6 + part) / 7
    features = np.hstack([days.to_numpy()[:, None], cycle(year), cycle(week), cycle(part)])
    case("times", text, "", features, np.arange(3) + 0.5)


def scaled():
    rng = np.random.default_rng(7)
    for name, column in [("seconds", 1_700_000_000 + rng.integers(0, 20_000, 60)), ("far from zero", 1e7 + rng.normal(size=60))]:
        column = np.round(column, 4)
        text = "t,y\n" + "".join(f"{value:.4f},{i % 7}.5\n" for i, value in enumerate(column))
        value = StandardScaler().fit_transform(column[:, None])
        case(f"scaled, {name}", text, "scale = 'standardize-features'\n", value, scaled=True)
    area = rng.uniform(40, 250, 200).round(1)
    rooms = rng.integers(1, 7, 200)
    price = (2100 * area + 9500 * rooms + 30000 + rng.normal(scale=9000, size=200)).round()
    text = "area,rooms,price\n" + "".join(f"{a},{r},{p:.0f}\n" for a, r, p in zip(area, rooms, price))
    inputs = np.column_stack([area, rooms])
    fitted = LinearRegression().fit(inputs, price)
    predicted = fitted.predict(inputs)
    case("large targets", text, "", inputs, price, r2=r2_score(price, predicted), first=predicted[:5].tolist(),
         mean=price.mean(), deviation=price.std(),
         error=float(np.abs(price - predicted).mean()))


if __name__ == "__main__":
    numbers()
    gaps()
    classes()
    dates()
    scaled()
    place = Path(__file__).with_suffix(".json")
    place.write_text(json.dumps(CASES, indent=None, separators=(",", ":")) + "\n")
    print(f"{len(CASES)} cases, {place.stat().st_size} bytes")

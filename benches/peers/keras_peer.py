"""The jobs in Keras 3 on TensorFlow, as its guides write them: in graph mode, and compiled by XLA."""

import os
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import tensorflow as tf
from keras import layers

from job import parse

job = parse(["graph", "jit"])
keras.utils.set_random_seed(1)
width = job.width
model = keras.Sequential([keras.Input(job.train.inputs.shape[1:])])
if job.name == "mlp":
    parts = [layers.Flatten(), layers.Dense(width, activation="sigmoid"), layers.Dense(10)]
elif job.name == "cnn":
    parts = [
        layers.Conv2D(width, job.kernel, job.stride, activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(2 * width, job.kernel, activation="relu"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10),
    ]
else:
    parts = [layers.Dense(width, activation="relu"), layers.Dense(width // 2, activation="relu"), layers.Dense(5)]
for part in parts:
    model.add(part)
if job.name == "table":
    optimizer = keras.optimizers.Adam(1e-3)
else:
    optimizer = keras.optimizers.SGD(1.0 if job.name == "mlp" else 0.1)
model.compile(
    optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=job.variant == "jit"
)


class Times(keras.callbacks.Callback):
    seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.started)


model.fit(job.train.inputs, job.train.labels, job.batch, job.epochs, verbose=0, callbacks=[Times()])
classes = model.predict(job.test.inputs, 1000, verbose=0).argmax(1)
version = f"{keras.__version__} (TensorFlow {tf.__version__})"
job.report(version, Times.seconds, float((classes == job.test.labels).mean()))

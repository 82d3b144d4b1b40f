#!/usr/bin/env python3
"""Trains the demo's iris classifier and prints demo/iris_model.h.

Multinomial logistic regression on the four measurements, by plain full-batch gradient descent with a
small L2 penalty, from all zeroes: the same numbers come out every time. Nothing but the standard
library is needed. Run it as:  demo/iris/train.py > demo/iris_model.h

The data is R. A. Fisher's (The use of multiple measurements in taxonomic problems, Annals of
Eugenics 7, 1936), 150 flowers, of three species; see README.md beside this file.
"""
import csv
import math
import pathlib

SPECIES = ["setosa", "versicolor", "virginica"]
STEPS = 20000
RATE = 0.1
PENALTY = 0.001


def read():
    path = pathlib.Path(__file__).with_name("iris.csv")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [[float(x) for x in row[:4]] for row in rows], [SPECIES.index(row[4]) for row in rows]


def probabilities(weights, features):
    scores = [sum(w * x for w, x in zip(row, features)) for row in weights]
    top = max(scores)
    parts = [math.exp(s - top) for s in scores]
    return [p / sum(parts) for p in parts]


def train(samples, labels):
    """Weights per species: four for the measurements, then the constant."""
    weights = [[0.0] * 5 for _ in SPECIES]
    rows = [sample + [1.0] for sample in samples]
    for _ in range(STEPS):
        slope = [[0.0] * 5 for _ in SPECIES]
        for features, label in zip(rows, labels):
            for k, p in enumerate(probabilities(weights, features)):
                error = p - (k == label)
                for i, x in enumerate(features):
                    slope[k][i] += error * x
        for k in range(len(SPECIES)):
            for i in range(5):
                penalty = PENALTY * weights[k][i] if i < 4 else 0.0
                weights[k][i] -= RATE * (slope[k][i] / len(rows) + penalty)
    return weights


def main():
    samples, labels = read()
    weights = train(samples, labels)
    right = 0
    for sample, label in zip(samples, labels):
        p = probabilities(weights, sample + [1.0])
        right += p.index(max(p)) == label
    print("/* Made by demo/iris/train.py; do not edit. Weights of a multinomial logistic regression,")
    print(f" * {right} of {len(labels)} flowers of the training data right: one row per species, four")
    print(" * measurements in centimetres and the constant. */")
    print("#pragma once")
    print("")
    print("static const double iris_weights[3][5] = {")
    for row in weights:
        print("    {" + ", ".join(f"{w:.6f}" for w in row) + "},")
    print("};")


if __name__ == "__main__":
    main()

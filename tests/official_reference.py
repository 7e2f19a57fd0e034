"""Losses and blocks of the baselines' public code, one image at a time: plain numbers, nothing shared with the package."""

from __future__ import annotations

import math

Vectors = list[list[float]]


def distance(one: list[float], two: list[float]) -> float:
    return math.sqrt(max(sum((a - b) ** 2 for a, b in zip(one, two, strict=True)), 1e-12))


def masked_distances(vectors: Vectors, labels: list[int]) -> list[tuple[float, float]]:
    """AGW's weighted distances (D+, D-) of each anchor: other entries stay in the softmax with a distance of 0."""
    pairs = []
    for anchor, own in zip(vectors, labels, strict=True):
        apart = [distance(anchor, other) for other in vectors]
        same = [label == own for label in labels]
        largest = max(d if kin else 0.0 for d, kin in zip(apart, same, strict=True))
        to_positives = [math.exp(d - largest) for d, kin in zip(apart, same, strict=True) if kin]
        to_negatives = [math.exp(-d) for d, kin in zip(apart, same, strict=True) if not kin]
        positives = [d for d, kin in zip(apart, same, strict=True) if kin]
        negatives = [d for d, kin in zip(apart, same, strict=True) if not kin]
        far = sum(w * d for w, d in zip(to_positives, positives, strict=True)) / (1e-6 + sum(to_positives))
        near = sum(w * d for w, d in zip(to_negatives, negatives, strict=True)) / (1e-6 + sum(to_negatives))
        pairs.append((far, near))
    return pairs


def agw_triplet(vectors: Vectors, labels: list[int]) -> float:
    terms = [math.log(1 + math.exp(far - near)) for far, near in masked_distances(vectors, labels)]
    return sum(terms) / len(terms)


def caj_triplet(vectors: Vectors, labels: list[int]) -> float:
    terms = []
    for far, near in masked_distances(vectors, labels):
        sign = 1 if far <= near else -1
        terms.append(math.log(1 + math.exp(-sign * min((far - near) ** 2, 88))))
    return sum(terms) / len(terms)


def softmax(values: list[float]) -> list[float]:
    exponentials = [math.exp(value) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def times(matrix: Vectors, vector: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def plus(one: list[float], two: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, two, strict=True)]


def dot(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


def ddag_parts(
    parts: Vectors, layers: dict[str, tuple[Vectors, list[float]]], gate: list[float], whole: list[float]
) -> list[float]:
    """DDAG's feature of one image before its batch norm: whole + sum of softmax(gate)_a r_a."""
    query = [plus(times(layers["query"][0], part), layers["query"][1]) for part in parts]
    key = [plus(times(layers["key"][0], part), layers["key"][1]) for part in parts]
    value = [plus(times(layers["value"][0], part), layers["value"][1]) for part in parts]
    feature = list(whole)
    for share, asking in zip(softmax(gate), query, strict=True):
        for weight, answer in zip(softmax([dot(asking, told) for told in key]), value, strict=True):
            feature = plus(feature, [share * weight * entry for entry in answer])
    return feature


def elu(value: float) -> float:
    return value if value > 0 else math.exp(value) - 1


def graph_head(nodes: Vectors, labels: list[int], weight: Vectors, own: list[float], other: list[float]) -> Vectors:
    """One head of DDAG's graph before its ELU, without dropout: what is no neighbour has a score of -9e15."""
    projected = [times(weight, node) for node in nodes]
    gathered = []
    for one, label in zip(projected, labels, strict=True):
        scores = []
        for two, kin in zip(projected, labels, strict=True):
            score = dot(own, one) + dot(other, two)
            score = score if score > 0 else 0.2 * score
            scores.append(score if kin == label else -9e15)
        row = [0.0] * len(projected[0])
        for share, two in zip(softmax(scores), projected, strict=True):
            row = plus(row, [share * entry for entry in two])
        gathered.append(row)
    return gathered


def unit(vector: list[float]) -> list[float]:
    length = math.sqrt(dot(vector, vector))
    return [value / length for value in vector]


def bdtr_ranking(visible: Vectors, infrared: Vectors, margin: float = 0.5, bound: float = 0.1) -> tuple[float, float]:
    """BDTR's terms (cross, intra), both directions summed; person i has one image in each modality."""
    cross = intra = 0.0
    for anchors, others in ((visible, infrared), (infrared, visible)):
        near = [unit(other) for other in others]
        for i, anchor in enumerate(anchors):
            apart = [distance(unit(anchor), other) for other in near]
            k = min((place for place in range(len(others)) if place != i), key=lambda place: apart[place])
            cross += max(0.0, margin + apart[i] - apart[k]) / len(anchors)
            intra += max(0.0, bound - distance(near[i], near[k])) / len(anchors)
    return cross, intra


def x_centre_gap(one: Vectors, two: Vectors, one_labels: list[int], two_labels: list[int], margin: float) -> float:
    """The X modality's gap between the centres of two modalities, both orders, with true distances."""
    persons = sorted(set(one_labels))

    def centre(vectors: Vectors, labels: list[int], person: int) -> list[float]:
        own = [vector for vector, label in zip(vectors, labels, strict=True) if label == person]
        return [sum(values) / len(own) for values in zip(*own, strict=True)]

    first = [centre(one, one_labels, person) for person in persons]
    second = [centre(two, two_labels, person) for person in persons]
    total = 0.0
    for rows, columns in ((first, second), (second, first)):
        for j in range(len(persons)):
            others = [k for k in range(len(persons)) if k != j]
            in_row = [distance(rows[j], columns[k]) for k in others]
            in_column = [distance(rows[k], columns[j]) for k in others]
            total += max(0.0, margin + distance(rows[j], columns[j]) - min(in_row + in_column)) / len(persons)
    return total

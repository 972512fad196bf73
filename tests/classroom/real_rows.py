"""Rows in the form of the studies of a real model, with made-up numbers: what notebook 11 reads of them."""

import numpy as np

from w2s_lab.methods.probe import STRENGTHS
from w2s_lab.studies import real_probe, real_tuning


def _numbers(rng: np.random.Generator) -> dict:
    weak, accuracy, ceiling = (round(at + float(rng.normal(0, 0.01)), 5) for at in (0.73, 0.79, 0.85))
    pgr = (accuracy - weak) / (ceiling - weak)
    return {"weak": weak, "accuracy": accuracy, "ceiling": ceiling, "pgr": pgr, "imitation": 0.4}


def probe_study(seeds: int = 4) -> dict:
    """As `w2s-lab study real-probe` writes it, as far as the notebook reads it."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(seeds):
        for choice in real_probe.CHOICES:
            for arm in real_probe.ARMS:
                rows.append({"question": "arms", "seed": seed, "arm": arm, "choice": choice, **_numbers(rng)})
        for arm in real_probe.GRID_ARMS:
            for layer in real_probe.LAYERS:
                for C in STRENGTHS:
                    accuracy = round(float(rng.uniform(0.7, 0.85)), 5)
                    rows.append(
                        {"question": "grid", "seed": seed, "arm": arm, "layer": layer, "C": C, "accuracy": accuracy}
                    )
    return {"layers": list(real_probe.LAYERS), "rows": rows}


def tuning_study() -> dict:
    """As `w2s-lab study real-tuning` writes it, as far as the notebook reads it."""
    rng, rows = np.random.default_rng(1), []
    arms = {**{name: (arm.recipe.epochs, arm.seeds) for name, arm in real_tuning.ARMS.items()}}
    for name, (epochs, seeds) in [*arms.items(), ("truth", (1, 3))]:
        for seed in range(seeds):
            curve = [[step * 160, round(float(rng.uniform(0.6, 0.85)), 5), None] for step in range(4)]
            facts = {"question": "students", "arm": name, "epochs": epochs, "seed": seed, "curve": curve}
            rows.append({**facts, **_numbers(rng)})
    return {"rows": rows}

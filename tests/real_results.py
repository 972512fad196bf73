"""Made-up results of the studies of a real model, in the form of their files; the numbers are drawn with a seed."""

from dataclasses import astuple

import numpy as np

from w2s_lab.studies import real_methods, real_probe, real_tuning
from w2s_lab.studies.study import Rows


def _numbers(rng: np.random.Generator, weak: float = 0.72, student: float = 0.8, ceiling: float = 0.86) -> dict:
    weak, accuracy, ceiling = (round(float(at + rng.normal(0, 0.01)), 5) for at in (weak, student, ceiling))
    found = {"weak": weak, "accuracy": accuracy, "ceiling": ceiling, "pgr": (accuracy - weak) / (ceiling - weak)}
    found |= dict.fromkeys(("agreement", "imitation", "correction", "gain", "misfit"), 0.3)
    return found | {"imitation": round(float(rng.uniform(0.2, 0.4)), 5)}


def tuning_rows(seeds: int = 5) -> Rows:
    """Rows of `real-tuning`."""
    rng, rows = np.random.default_rng(0), []
    arms = real_tuning.ARMS | {real_tuning.TRUTH: real_tuning.ARMS["weak labels"]}
    for name, arm in arms.items():
        for seed in range(min(seeds, arm.seeds)):
            facts = {"arm": name, "epochs": arm.recipe.epochs, "seed": seed}
            found = _numbers(rng, student=0.86 if name == real_tuning.TRUTH else 0.8)
            if name == real_tuning.TRUTH:
                found |= {"ceiling": found["accuracy"]}
            steps = range(0, 60 * arm.recipe.epochs + 1, arm.recipe.eval_every)
            curve = [(8 * step, round(0.5 + 0.3 * min(1, step / 40) + rng.normal(0, 0.01), 5), 0.4) for step in steps]
            curve[-1] = (curve[-1][0], found["accuracy"], found["imitation"])
            best = {"label_accuracy": 0.72, "best_accuracy": 0.82, "best_pgr": 0.7}
            trusted = found["accuracy"] - 0.004
            pgr = (trusted - found["weak"]) / (found["ceiling"] - found["weak"])
            best |= {"trusted_accuracy": trusted, "trusted_pgr": pgr}
            rows.append({"question": "students", **facts, "curve": curve, **found, **best})
            if name in real_tuning.TRANSFERRED:
                for task in real_probe.OTHERS:
                    rows.append({"question": "transfer", **facts, "task": task, **_numbers(rng, 0.6, 0.65, 0.8)})
    return rows


def probe_rows(seeds: int = 6) -> Rows:
    """Rows of `real-probe`."""
    rng, rows = np.random.default_rng(1), []
    for seed in range(seeds):
        for choice in real_probe.CHOICES:
            for arm in real_probe.ARMS:
                facts = {"question": "arms", "arm": arm, "choice": choice, "layer": 15, "C": 1e-3}
                rows.append({"seed": seed, **facts, "label_accuracy": 0.72, **_numbers(rng)})
        for arm in real_probe.GRID_ARMS:
            for layer in real_probe.LAYERS:
                facts = {"question": "grid", "seed": seed, "arm": arm, "layer": layer, "C": 1e-3}
                rows.append(facts | {"accuracy": 0.8, "imitation": 0.3})
        for task in real_probe.OTHERS:
            for arm in real_probe.GRID_ARMS[:-1]:
                rows.append({"question": "transfer", "seed": seed, "task": task, "arm": arm, **_numbers(rng, 0.6)})
        for name in real_probe.SUPERVISORS:
            facts = {"question": "supervisors", "supervisor": name, "layer": 15, "C": 1e-3}
            rows.append({"seed": seed, **facts, "label_accuracy": 0.72, **_numbers(rng)})
        for name in real_probe.WORDINGS:
            facts = {"question": "wordings", "wording": name, "layer": 15, "C": 1e-3}
            rows.append({"seed": seed, **facts, "label_accuracy": 0.72, **_numbers(rng)})
        for name in real_probe.SECOND_SUPERVISORS:
            for arm in real_probe.SECOND_ARMS:
                facts = {"question": "second", "supervisor": name, "arm": arm, "layer": 15, "C": 1e-3}
                rows.append({"seed": seed, **facts, "label_accuracy": 0.72, **_numbers(rng)})
    for task in (real_probe.TASK, *real_probe.OTHERS, real_probe.NEWER):
        asked = {"accuracy": None, "commonest": None} if task == real_probe.NEWER else {"accuracy": 0.5, "commonest": 1}
        rows.append({"question": "known", "task": task, **asked, "perplexity": 71.3, "by_heart": 3, "continued": 390})
    return rows


def method_rows(seeds: int = 6) -> Rows:
    """Rows of `real-methods`."""
    rng, rows = np.random.default_rng(2), []
    controls = {name: one for methods in real_methods.CONTROLS.values() for name, one in methods.items()}
    for seed in range(seeds):
        for name in dict.fromkeys((real_methods.TRUTH, *controls.values(), *controls)):
            facts = {"question": "methods", "seed": seed, "method": name, "examples": 1500, "C": 1e-3}
            end, chosen = _numbers(rng, student=0.74), _numbers(rng)
            facts |= {f"trusted_{key}": chosen[key] for key in ("accuracy", "pgr", "imitation")}
            curve = [(C, end["accuracy"] + 0.01 * i, 0.3 + 0.1 * i, 0.8) for i, C in enumerate(real_methods.PATH)]
            rows.append({**facts, "label_accuracy": 0.72, "curve": curve, **end})
        sure = {"ece": 0.1, "sure": 0.5, "sure_right": 0.8, "wrong_sure": round(0.3 + 0.012 * seed, 5)}
        rows.append({"question": "labels", "seed": seed, **sure})
    rows.append({"question": "adaptation", "texts": 200, "before": 190.4, "after": 67.6})
    return rows


def results() -> dict[str, dict]:
    """The files, without command and versions."""
    facts = {"model": real_probe.MODEL, "task": real_probe.TASK}
    return {
        "real-probe": {**facts, "sizes": astuple(real_probe.SIZES), "rows": probe_rows()},
        "real-methods": {
            **facts,
            "sizes": astuple(real_probe.SIZES),
            "layer": real_methods.LAYER,
            "path": real_methods.PATH,
            "adapted to": real_methods.ADAPT_TO,
            "rows": method_rows(),
        },
        "real-tuning": {
            **facts,
            "supervisor": real_tuning.SUPERVISOR,
            "sizes": astuple(real_tuning.SIZES),
            "recipes": {name: arm.recipe.to_dict() for name, arm in real_tuning.ARMS.items()},
            "rows": tuning_rows(),
        },
    }

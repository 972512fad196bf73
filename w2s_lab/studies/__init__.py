"""Named studies: grids of methods, tasks, pairs of models and seeds, and what was found in them.

`STUDIES` lists the studies by name. To add a study of your own, call `register` in a module of yours.
"""

from typing import TYPE_CHECKING

from w2s_lab.system.registry import Registry

if TYPE_CHECKING:
    from w2s_lab.studies.study import Study

# Dotted names, because a study imports torch, and `w2s-lab study --help` should not.
STUDIES: Registry["Study"] = Registry(
    "study",
    {
        "mechanism": "w2s_lab.studies.mechanism:STUDY",
        "tilt": "w2s_lab.studies.tilt:STUDY",
        "methods": "w2s_lab.studies.methods:STUDY",
        "scaling": "w2s_lab.studies.scaling:STUDY",
        "leakage": "w2s_lab.studies.leakage:STUDY",
        "pretrainings": "w2s_lab.studies.pretrainings:STUDY",
        "overfitting": "w2s_lab.studies.overfitting:STUDY",
        "recipes": "w2s_lab.studies.recipes:STUDY",
        "losses": "w2s_lab.studies.losses:STUDY",
        "budget": "w2s_lab.studies.budget:STUDY",
        "policy": "w2s_lab.studies.policy:STUDY",
        "flywheel": "w2s_lab.studies.flywheel:STUDY",
        "real-probe": "w2s_lab.studies.real_probe:STUDY",
        "real-methods": "w2s_lab.studies.real_methods:STUDY",
        "real-tuning": "w2s_lab.studies.real_tuning:STUDY",
        "majorities": "w2s_lab.studies.majorities:STUDY",
        "real-majorities": "w2s_lab.studies.majorities:REAL_STUDY",
        "easy-to-hard": "w2s_lab.studies.easy_to_hard:STUDY",
        "real-easy-to-hard": "w2s_lab.studies.easy_to_hard:REAL_STUDY",
        "blind-spot": "w2s_lab.studies.blind_spot:STUDY",
    },
)


def register(study: "Study", *, replace: bool = False) -> "Study":
    """Let `w2s-lab study NAME` run a study of your own, and `w2s-lab study findings` read its claims.

    Raises:
        ValueError: another study has this name, or it is "findings", which is a command.
    """
    if study.name == "findings":
        raise ValueError("a study is called 'findings'; expected another name, because that is a command")
    STUDIES.register(study.name, study, replace=replace)
    return study

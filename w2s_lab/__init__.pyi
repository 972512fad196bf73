from . import (
    metrics as metrics,
)
from . import (
    objective as objective,
)
from .data.sources import (
    DataError as DataError,
)
from .data.sources import (
    DataWarning as DataWarning,
)
from .data.sources import (
    SplitSizes as SplitSizes,
)
from .data.sources import (
    builtin_tasks as builtin_tasks,
)
from .data.sources import (
    load_splits as load_splits,
)
from .data.sources import (
    read_examples as read_examples,
)
from .data.sources import (
    register_task as register_task,
)
from .data.sources import (
    write_examples as write_examples,
)
from .experiments import (
    effects as effects,
)
from .experiments import (
    report as report,
)
from .experiments.procedure import (
    Bench as Bench,
)
from .experiments.procedure import (
    Outcome as Outcome,
)
from .experiments.procedure import (
    Plan as Plan,
)
from .experiments.procedure import (
    weak_to_strong as weak_to_strong,
)
from .experiments.store import (
    Store as Store,
)
from .figures import (
    plots as plots,
)
from .figures import (
    study_plots as study_plots,
)
from .methods import (
    cascade as cascade,
)
from .methods import (
    ensembles as ensembles,
)
from .methods import (
    expansion as expansion,
)
from .methods import (
    flywheel as flywheel,
)
from .methods import (
    labellers as labellers,
)
from .methods import (
    majorities as majorities,
)
from .methods import (
    mixing as mixing,
)
from .methods import (
    probe as probe,
)
from .methods import (
    proposals as proposals,
)
from .methods import (
    reward as reward,
)
from .methods import (
    selection as selection,
)
from .methods import (
    simulated as simulated,
)
from .methods.labellers import (
    Labeller as Labeller,
)
from .methods.labellers import (
    labeller as labeller,
)
from .methods.labellers import (
    register_labeller as register_labeller,
)
from .methods.simulated import (
    random_errors as random_errors,
)
from .models.language_model import (
    LanguageModel as LanguageModel,
)
from .models.loading import (
    ladder as ladder,
)
from .models.loading import (
    load_model as load_model,
)
from .models.loading import (
    save_model as save_model,
)
from .objective import (
    AuxiliaryConfidence as AuxiliaryConfidence,
)
from .objective import (
    ConfidenceWindow as ConfidenceWindow,
)
from .objective import (
    Distillation as Distillation,
)
from .objective import (
    Loss as Loss,
)
from .objective import (
    MaximumLikelihood as MaximumLikelihood,
)
from .objective import (
    NextToken as NextToken,
)
from .objective import (
    ProductTargets as ProductTargets,
)
from .objective import (
    SoftTargets as SoftTargets,
)
from .objective import (
    Targets as Targets,
)
from .recipe import (
    LoRA as LoRA,
)
from .recipe import (
    Recipe as Recipe,
)
from .records import (
    Comparison as Comparison,
)
from .records import (
    Evaluation as Evaluation,
)
from .records import (
    Example as Example,
)
from .records import (
    LabelledSet as LabelledSet,
)
from .records import (
    Snapshot as Snapshot,
)
from .records import (
    Splits as Splits,
)
from .records import (
    Task as Task,
)
from .system.registry import (
    load_plugin as load_plugin,
)
from .training import (
    stopping as stopping,
)
from .training.asking import (
    answer as answer,
)
from .training.evaluation import (
    compare as compare,
)
from .training.evaluation import (
    evaluate as evaluate,
)
from .training.evaluation import (
    score as score,
)
from .training.labelling import (
    token_targets as token_targets,
)
from .training.labelling import (
    weak_labels as weak_labels,
)
from .training.loop import (
    NonFiniteLoss as NonFiniteLoss,
)
from .training.loop import (
    adapt as adapt,
)
from .training.loop import (
    train as train,
)
from .training.loop import (
    training_steps as training_steps,
)
from .version import (
    __version__ as __version__,
)

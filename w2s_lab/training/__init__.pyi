from . import (
    stopping as stopping,
)
from .asking import (
    answer as answer,
)
from .evaluation import (
    compare as compare,
)
from .evaluation import (
    evaluate as evaluate,
)
from .evaluation import (
    score as score,
)
from .gradient import (
    BatchGradient as BatchGradient,
)
from .labelling import (
    token_targets as token_targets,
)
from .labelling import (
    weak_labels as weak_labels,
)
from .loop import (
    NonFiniteLoss as NonFiniteLoss,
)
from .loop import (
    adapt as adapt,
)
from .loop import (
    batches as batches,
)
from .loop import (
    learning_rate_at as learning_rate_at,
)
from .loop import (
    prepared as prepared,
)
from .loop import (
    train as train,
)
from .loop import (
    training_key as training_key,
)
from .loop import (
    training_steps as training_steps,
)

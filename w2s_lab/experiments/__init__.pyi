from . import (
    effects as effects,
)
from . import (
    report as report,
)
from .procedure import (
    Bench as Bench,
)
from .procedure import (
    Outcome as Outcome,
)
from .procedure import (
    Plan as Plan,
)
from .procedure import (
    hard as hard,
)
from .procedure import (
    split_curve as split_curve,
)
from .procedure import (
    weak_to_strong as weak_to_strong,
)
from .store import (
    Store as Store,
)

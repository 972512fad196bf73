from . import (
    cascade as cascade,
)
from . import (
    ensembles as ensembles,
)
from . import (
    expansion as expansion,
)
from . import (
    flywheel as flywheel,
)
from . import (
    labellers as labellers,
)
from . import (
    majorities as majorities,
)
from . import (
    mixing as mixing,
)
from . import (
    probe as probe,
)
from . import (
    proposals as proposals,
)
from . import (
    reward as reward,
)
from . import (
    selection as selection,
)
from . import (
    simulated as simulated,
)

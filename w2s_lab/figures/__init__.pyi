from . import (
    plots as plots,
)
from . import (
    study_plots as study_plots,
)

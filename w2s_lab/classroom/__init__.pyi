from .dashboards.budget_explorer import (
    budget_explorer as budget_explorer,
)
from .dashboards.cascade_explorer import (
    cascade_explorer as cascade_explorer,
)
from .dashboards.error_simulator import (
    error_simulator as error_simulator,
)
from .dashboards.error_sorter import (
    error_sorter as error_sorter,
)
from .dashboards.findings_view import (
    findings_view as findings_view,
)
from .dashboards.flips import (
    count_kinds as count_kinds,
)
from .dashboards.flips import (
    flip_inspector as flip_inspector,
)
from .dashboards.flips import (
    flips as flips,
)
from .dashboards.flywheel_dashboard import (
    flywheel_dashboard as flywheel_dashboard,
)
from .dashboards.flywheel_diagram import (
    flywheel_diagram as flywheel_diagram,
)
from .dashboards.hard_or_soft import (
    hard_or_soft as hard_or_soft,
)
from .dashboards.heat_map import (
    heat_map as heat_map,
)
from .dashboards.label_browser import (
    label_browser as label_browser,
)
from .dashboards.live_training import (
    live_training as live_training,
)
from .dashboards.loss_explorer import (
    loss_explorer as loss_explorer,
)
from .dashboards.memory_explorer import (
    memory_explorer as memory_explorer,
)
from .dashboards.probe_explorer import (
    probe_explorer as probe_explorer,
)
from .dashboards.race import (
    race as race,
)
from .dashboards.schematics import (
    four_roles as four_roles,
)
from .dashboards.schematics import (
    loss_mask as loss_mask,
)
from .dashboards.schematics import (
    misfit_plane as misfit_plane,
)
from .dashboards.seed_count import (
    seed_count as seed_count,
)
from .dashboards.selection_diagram import (
    selection_diagram as selection_diagram,
)
from .dashboards.selection_explorer import (
    selection_explorer as selection_explorer,
)
from .dashboards.target_view import (
    relabelling_view as relabelling_view,
)
from .dashboards.target_view import (
    temperature_view as temperature_view,
)
from .dashboards.token_viewer import (
    token_viewer as token_viewer,
)
from .dashboards.why_it_works import (
    tilt_explorer as tilt_explorer,
)
from .dashboards.why_it_works import (
    why_it_works as why_it_works,
)
from .demos.screens import (
    ask as ask,
)
from .demos.screens import (
    demo as demo,
)
from .demos.screens import (
    reveal as reveal,
)
from .exercises.checks import (
    check as check,
)
from .exercises.checks import (
    yours as yours,
)
from .overview import (
    my_progress as my_progress,
)
from .progress import (
    reset_progress as reset_progress,
)
from .quizzes import (
    outcome as outcome,
)
from .quizzes import (
    predict as predict,
)
from .quizzes import (
    quiz as quiz,
)
from .toolkit.measured import (
    measured as measured,
)
from .toolkit.one_call import (
    bars as bars,
)
from .toolkit.one_call import (
    lines as lines,
)
from .toolkit.one_call import (
    study_figure as study_figure,
)
from .toolkit.panel import (
    fold_up as fold_up,
)
from .toolkit.real_world import (
    real_english as real_english,
)
from .toolkit.recorded import (
    recorded as recorded,
)
from .toolkit.stage import (
    stage as stage,
)
from .toolkit.worlds import (
    worlds as worlds,
)

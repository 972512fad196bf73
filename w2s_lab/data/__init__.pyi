from . import (
    presets as presets,
)
from .sources import (
    DataError as DataError,
)
from .sources import (
    DataWarning as DataWarning,
)
from .sources import (
    SplitSizes as SplitSizes,
)
from .sources import (
    builtin_tasks as builtin_tasks,
)
from .sources import (
    example_to_json as example_to_json,
)
from .sources import (
    hub_table as hub_table,
)
from .sources import (
    load_splits as load_splits,
)
from .sources import (
    read_examples as read_examples,
)
from .sources import (
    register_task as register_task,
)
from .sources import (
    split_examples as split_examples,
)
from .sources import (
    tasks as tasks,
)
from .sources import (
    write_examples as write_examples,
)

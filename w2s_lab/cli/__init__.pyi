from .commands import (
    main as main,
)
from .commands import (
    parser as parser,
)

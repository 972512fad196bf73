from .encoding import (
    prompt as prompt,
)
from .language_model import (
    LanguageModel as LanguageModel,
)
from .loading import (
    ladder as ladder,
)
from .loading import (
    load_model as load_model,
)
from .loading import (
    network_digest as network_digest,
)
from .loading import (
    new_llama as new_llama,
)
from .loading import (
    pick_device as pick_device,
)
from .loading import (
    save_model as save_model,
)
from .loading import (
    train_tokenizer as train_tokenizer,
)

"""`python -m w2s_lab` is `w2s-lab`; so that `accelerate launch -m w2s_lab run ...` finds it."""

import sys

from w2s_lab.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())

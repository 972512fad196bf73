"""One question, one picture, a few controls: the dashboards of the notebooks, a module each."""

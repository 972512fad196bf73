"""The dashboards of the notebooks, a module each: every dashboard has one question, one picture and a few controls."""

"""What dashboards are made of: controls, charts and sketches, as SVG."""

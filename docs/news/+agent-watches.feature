An agent runs the `watches` of its configuration, with programs and HTTP requests as handlers, and does not repeat itself after a restart or a reload.
